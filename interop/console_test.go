package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/godwitmq/godwit/codec/stomp"
)

// These tests look at the web console with a real browser, Debian's chromium.

// browserPatience bounds what a page may take on a busy machine.
const browserPatience = 30 * time.Second

// browser is one browser with a profile of its own.
type browser struct {
	t   *testing.T
	ctx context.Context
	at  string // of the broker

	mu       sync.Mutex
	problems []string // what the browser's console has complained about
}

// openBrowser starts Chromium. It ends with the test, which fails if the browser's console has had anything to complain about, a violated Content-Security-Policy for example.
func openBrowser(t *testing.T, at string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	allocated, release := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute), chromedp.WindowSize(1280, 900))
	ctx, end := chromedp.NewContext(allocated)
	b := &browser{t: t, ctx: ctx, at: at}
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context of this
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.problems = append(b.problems, fmt.Sprintf("%s: %s %s", m.Type, m.Text, m.URL))
			b.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		if t.Failed() {
			b.shoot("failed")
		}
		b.clean()
		end()
		release()
		<-listened
	})
	return b
}

// clean sees that the browser's console has had nothing to complain about.
func (b *browser) clean() {
	b.t.Helper()
	time.Sleep(100 * time.Millisecond) // what it says comes by itself
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the browser's console: %s", p)
	}
	b.problems = nil
}

// forgive drops what the browser's console has complained about: an answer that was to be a refusal.
func (b *browser) forgive() {
	time.Sleep(100 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = nil
}

// do runs actions.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.give("%v", err)
	}
}

// give ends the test, and says what the page shows.
func (b *browser) give(format string, args ...any) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + ' shows\\n' + document.body.innerText"))
	b.t.Fatalf(format+"\n%s", append(args, text)...)
}

// value is what a script comes to.
func value[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.give("%s: %v", script, err)
	}
	return v
}

// open goes to a page of the console.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.at + "/console/" + path))
}

// waits until a script says so. The values are its arguments.
func (b *browser) waits(script string, values ...any) {
	b.t.Helper()
	arguments, err := json.Marshal(append([]any{}, values...))
	if err != nil {
		b.t.Fatal(err)
	}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf("(%s)(...%s)", script, arguments)))
		cancel()
		if yes && err == nil { // an error, because a page is on its way out, is no answer
			return
		}
		if time.Since(begun) > browserPatience {
			b.give("never true: %s with %s (%v)", script, arguments, err)
		}
	}
}

// sees waits until an element shows a text.
func (b *browser) sees(selector, text string) {
	b.t.Helper()
	b.waits(`(s, t) => [...document.querySelectorAll(s)].some((e) => e.innerText.replace(/[\u202f\s]+/g, " ").includes(t))`, selector, text)
}

// has says whether there is such an element now.
func (b *browser) has(selector string) bool {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	return value[bool](b, fmt.Sprintf(`document.querySelector(%s) !== null`, quoted))
}

// press clicks on what has that text: a link, a button, or what opens something.
func (b *browser) press(text string) {
	b.t.Helper()
	b.waits(`(t) => { const e = [...document.querySelectorAll("main a, main button, main summary, .tools button, dialog button")].find((e) => !e.disabled && e.checkVisibility() && e.innerText.trim().startsWith(t)); if (!e) return false; e.click(); return true; }`, text)
}

// fill writes into a field.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.SetValue(chromedp.CSS(selector), text))
}

// shoot keeps pictures where GODWIT_CONSOLE_SHOTS says, for people.
func (b *browser) shoot(name string) {
	dir := os.Getenv("GODWIT_CONSOLE_SHOTS")
	if dir == "" {
		return
	}
	for _, look := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 400}} {
		ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
		picture, err := b.picture(ctx, look.scheme, look.width)
		cancel()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+"-"+look.name+".png"), picture, 0o644)
		}
		if err != nil {
			b.t.Logf("picture %s: %v", name, err)
		}
	}
	_ = chromedp.Do(b.ctx, chromedp.ResetViewport())
}

func (b *browser) picture(ctx context.Context, scheme string, width int64) ([]byte, error) {
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		return nil, err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Sleep(800*time.Millisecond)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.FullScreenshot(100))
}

// login signs in.
func (b *browser) login(name, secret string) {
	b.t.Helper()
	b.open("login")
	b.fill("#user", name)
	b.fill("#password", secret)
	b.do(chromedp.Submit(chromedp.CSS("#password")))
}

// guarded starts a broker whose API demands credentials, of users root, hand and eye: an admin, an operator, a reader.
func guarded(t *testing.T) *broker {
	t.Helper()
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	for name, group := range map[string]string{"root": "admins", "hand": "operators", "eye": "readers"} {
		add := exec.Command(binary, "users", "add", "--file", users, "--group", group, name)
		add.Stdin = strings.NewReader("secret of " + name + "\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("godwit users add: %v\n%s", err, out)
		}
	}
	return startOwn(t, fmt.Sprintf("credentials: {mode: mandatory, usersFile: %q, rights: [{destination: 'queue://>', read: [operators], write: [operators], admin: [operators]}]}\n", users), brokerOptions{})
}

func (b *broker) http() string { return strings.TrimSuffix(b.readyURL, "/readyz") }

// TestConsole does what an operator does all day: sign in, send, browse, move, purge, pause; then a reader, who sees no buttons, and whose forged form is refused.
func TestConsole(t *testing.T) {
	needSomething(t)
	godwit := guarded(t)
	b := openBrowser(t, godwit.http())
	b.open("queues")
	b.sees("h1", "Sign in") // and nothing else
	b.shoot("login")
	b.login("hand", "wrong")
	b.sees(".said", "not right")
	b.forgive() // the browser notes the 401
	b.login("hand", "secret of hand")
	b.sees(".who", "hand operator")

	const hostile = `orders/<b>&"new"`
	b.open("queues")
	b.sees("#list", "There is none yet")
	b.press("New queue")
	b.fill("#new-name", hostile)
	b.press("Create")
	b.sees("h1", hostile)
	b.press("Send…")
	b.fill("#body", "<script>alert(1)</script>")
	b.fill("#properties", `{"colour": "red"}`)
	b.fill("#count", "3")
	b.press("Send")
	b.sees("#said", "Sent 3 messages")
	b.sees("#d-size", "3")
	b.shoot("queue")
	b.press("Browse")
	b.sees("caption", "3 messages")
	b.do(chromedp.Click(chromedp.CSS(".message summary")))
	b.sees(".message pre", "<script>alert(1)</script>")
	b.shoot("messages")

	// Move a marked one: what would happen is shown first.
	b.do(chromedp.Click(chromedp.CSS(`input[name="id"]`)))
	b.fill("#to", "queue://elsewhere")
	b.press("Continue…")
	b.sees("#plan-count", "1 of 3 messages that wait would be moved to queue://elsewhere")
	b.shoot("plan")
	b.press("Move 1 message")
	b.sees("#said", "1 message moved")
	b.sees("#d-size", "2")

	b.press("Pause")
	b.sees(".state", "paused")
	b.press("Resume")
	b.sees(".state", "delivers")

	// What another client sends is seen without a reload.
	sender := loginStomp(t, godwit, "login", "hand", "passcode", "secret of hand")
	b.open("destination?d=" + url.QueryEscape("queue://elsewhere"))
	b.sees("#d-size", "1")
	for range 2 {
		if err := sender.write(stomp.Send, "one more", "destination", "/queue/elsewhere"); err != nil {
			t.Fatal(err)
		}
	}
	b.sees("#d-size", "3")

	b.press("Purge…")
	b.sees("#plan-count", "3 of 3 messages")
	b.press("Remove 3 messages")
	b.sees("#said", "3 messages removed")
	b.press("Remove…")
	b.sees("#confirm-text", "Remove queue://elsewhere")
	b.press("Do it")
	b.sees("#said", "queue://elsewhere is removed")
	b.clean()

	// Each page opens without a complaint of the browser's console.
	for _, path := range []string{"", "queues", "topics?all=true", "subscriptions", "clients", "scheduled", "transactions", "retries"} {
		b.open(path)
		b.sees("main", "")
		if b.has("#problem section") {
			b.sees("#problem", "no problem at /console/"+path)
		}
		b.shoot("page-" + strings.Split(path, "?")[0])
	}
	b.clean()

	// A page from elsewhere cannot make this browser do anything.
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><form method="post" action="%s/console/create"><input name="name" value="forged"><input name="kind" value="queue"></form>`, godwit.http())
	}))
	defer foreign.Close()
	b.do(chromedp.Navigate(foreign.URL), chromedp.Evaluate[chromedp.Void](`document.forms[0].submit()`))
	b.sees("body", "denied")
	b.forgive()
	b.open("queues")
	b.sees("#list", "1 queue,")

	// The keyboard is enough: the skip link, the filter's key, a row.
	b.do(chromedp.KeyEvent(kb.Tab))
	b.waits(`() => document.activeElement.className === "skip"`)
	b.do(chromedp.KeyEvent("/"))
	b.waits(`() => document.activeElement.id === "filter"`)
	b.do(chromedp.KeyEvent("orders"), chromedp.KeyEvent(kb.Enter))
	b.sees("#list", "1 match “orders”")

	// The theme is a choice that stays.
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	b.open("queues")
	b.waits(`() => ["dark", "light"].includes(document.documentElement.dataset.theme)`)

	b.press("Sign out")
	b.sees("h1", "Sign in")

	// A reader.
	b.login("eye", "secret of eye")
	b.sees(".who", "eye reader")
	b.open("destination?d=" + url.QueryEscape("queue://"+hostile))
	b.sees("#d-size", "2")
	if b.has("main form[method=post]") {
		t.Error("a reader is shown a button")
	}
	status := value[int](b, `fetch("/console/").then((r) => r.text()).then((t) => fetch("/console/pause", {method: "POST", body: new URLSearchParams({
		token: new DOMParser().parseFromString(t, "text/html").querySelector("[name=token]").value, d: "queue://orders/<b>&\"new\"", on: "true"})})).then((r) => r.status)`)
	if status != http.StatusForbidden {
		t.Errorf("a reader's forged form was answered %d", status)
	}
	b.forgive()
	b.sees(".state", "delivers")
}

// TestConsoleOfThousands has many queues: a page of them is shown, and one is found by a part of its name.
func TestConsoleOfThousands(t *testing.T) {
	needSomething(t)
	godwit := startOwn(t, "limits: {destinations: 6000}\n", brokerOptions{})
	client := loginStomp(t, godwit)
	var frames []byte
	for i := range 5000 {
		frames = appendStomp(frames, stomp.Send, "x", "destination", fmt.Sprintf("/queue/many.%04d", i))
	}
	frames = appendStomp(frames, stomp.Send, "x", "destination", "/queue/many.0042", "receipt", "all")
	if err := client.writeBytes(frames); err != nil {
		t.Fatal(err)
	}
	if f, err := client.next(); err != nil || f.Headers.Value("receipt-id") != "all" {
		t.Fatalf("%v, %v", f, err)
	}
	b := openBrowser(t, godwit.http())
	b.open("queues?sort=size")
	b.sees("#list", "5 000 queues")
	b.sees("tbody tr:first-child", "many.0042")
	if rows := value[int](b, `document.querySelectorAll("#list tbody tr").length`); rows != 50 {
		t.Errorf("%d rows are shown; expected 50", rows)
	}
	b.shoot("thousands")
	b.press("Next")
	b.sees(".pages", "51–100 of 5 000")
	b.fill("#filter", "many.499")
	b.press("Filter")
	b.sees("#list", "10 match")
	b.sees(".banner", "Open to this machine")
}

// TestConsolePair finds the active instance of a pair at each of its nodes, and switches over: the plan, and the clients crossing over, live.
func TestConsolePair(t *testing.T) {
	needSomething(t)
	p := startPair(t)
	active, standby := p.await(t, "active"), p.await(t, "standby")
	stop, back := make(chan struct{}), make(chan struct{})
	var clients sync.WaitGroup
	defer clients.Wait()
	defer close(stop)
	for i := range 12 { // clients that know both addresses, and come back when the console has seen that they are away
		clients.Go(func() { roam(stop, back, i, p.nodes["a"].stomp, p.nodes["b"].stomp) })
	}
	allBack := `() => [...document.querySelectorAll("#crossing tbody tr")].map((r) => Number(r.cells[1].innerText) + Number(r.cells[3].innerText)).join() === "6,6"`
	for _, name := range []string{"w", active, standby} {
		b := openBrowser(t, p.apis[name])
		b.open("")
		b.sees("#hero-h", active+" ● active")
		b.sees("#connect", p.nodes["a"].stomp+","+p.nodes["b"].stomp)
		b.sees("#connect", "failover:("+p.nodes["a"].openwire+","+p.nodes["b"].openwire+")")
		b.waits(allBack)
		if name != standby {
			continue
		}
		b.shoot("pair")
		b.press("Switch over")
		b.sees(".lead", active+" hands over to "+standby)
		b.sees("caption", "Clients that would not follow, or of which it is not known")
		b.shoot("switchover")
		b.do(chromedp.Evaluate[chromedp.Void](`window.here = "the same page"; window.away = 0; new MutationObserver(() => { window.away += document.querySelectorAll("circle.away").length; }).observe(document.body, {subtree: true, childList: true, attributes: true})`))
		b.press("Hand over to")
		b.sees("#said", active+" has handed over to "+standby)
		b.sees("tr.is-active th", standby)
		b.waits(`() => window.away > 0`)
		close(back)
		b.waits(allBack)
		if same := value[string](b, `String(window.here)`); same != "the same page" {
			t.Error("the page was left")
		}
		b.shoot("switched")
		b.open("")
		b.sees("#hero-h", standby+" ● active")
		b.sees("#hero", "took over from "+active+" by switchover")
	}
}

// roam is a client that goes to the next address when it is sent away and may come back.
func roam(stop, back <-chan struct{}, number int, addresses ...string) {
	for at := number; ; at++ {
		c, err := connectStomp(addresses[at%len(addresses)], "login", []string{"orders", "billing"}[number%2], "client-id", fmt.Sprint("c", number))
		if err == nil {
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				for err == nil {
					_, err = c.next()
				}
			}()
			select {
			case <-gone:
				c.conn.Close()
			case <-stop:
				c.conn.Close()
				<-gone
				return
			}
			select {
			case <-back:
			case <-stop:
				return
			}
		}
		select {
		case <-time.After(50 * time.Millisecond): // it may be refused once more
		case <-stop:
			return
		}
	}
}
