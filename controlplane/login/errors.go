package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// down is the error of a provider that does not answer. The cause is for the log.
func (c *client) down(cause error) error {
	said := hub.Errorf(hub.Unavailable, "%s does not answer at the moment. Please try again in a minute.", c.label())
	return hub.WithCause(said, c.because(cause))
}

// wrong is the error of a provider whose answer cannot be used, or that did not answer.
func (c *client) wrong(cause error) error {
	var unreachable *url.Error
	if errors.As(cause, &unreachable) || errors.Is(cause, context.DeadlineExceeded) {
		return c.down(cause)
	}
	return fmt.Errorf("%w (%w)", &web.StatusError{Code: http.StatusBadGateway,
		Message: c.label() + " gave an answer that the hub cannot use. Please try again, or tell your administrator."}, c.because(cause))
}

// because is a cause for the log: it has words of the provider in it, of any length.
func (c *client) because(cause error) error {
	text := strings.ToValidUTF8(cause.Error(), "?")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return fmt.Errorf("login provider %s: %q", c.Name, text)
}

// refused is the error of a person who may not sign in.
func refused(format string, args ...any) error { return hub.Errorf(hub.Forbidden, format, args...) }
