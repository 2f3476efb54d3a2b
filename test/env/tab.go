package env

import (
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Tab is the tab that the page opens when the person does something, and to which the person turns. It ends with the browser.
func (b *Browser) Tab(do func()) *Browser {
	b.t.Helper()
	opened := chromedp.WaitNewTarget(b.ctx, func(*target.Info) bool { return true })
	do()
	select {
	case id := <-opened:
		tab := &Browser{t: b.t, dir: b.dir, profile: b.profile, shots: b.shots}
		ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id), chromedp.WithListener(tab.listen))
		b.t.Cleanup(stop)
		if err := chromedp.Do(ctx); err != nil {
			b.Fatalf("turn to the tab that was opened: %v", err)
		}
		tab.ctx = ctx
		tab.sit()
		return tab
	case <-time.After(patience):
		b.Fatalf("no tab was opened")
		return nil
	}
}
