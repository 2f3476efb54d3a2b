package account

import "context"

// TidyRoles is what Tend does now and then.
func (a *Accounts) TidyRoles(ctx context.Context) error { return a.tidyRoles(ctx) }
