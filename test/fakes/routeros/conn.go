package routeros

import (
	"bufio"
	"context"
	"crypto/md5" //nolint:gosec // RouterOS's login before 6.43
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Serve answers clients on a listener until ctx ends; with a certificate, by
// TLS, as on port 8729. All connections are closed when it returns.
func (r *Router) Serve(ctx context.Context, l net.Listener, certificate *tls.Certificate) error {
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12})
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		clients.Go(func() { r.talk(ctx, c) })
	}
}

// client is one connection.
type client struct {
	r         *Router
	conn      net.Conn
	mu        sync.Mutex // one sentence at a time goes out
	challenge []byte
	in        bool // logged in
	work      sync.WaitGroup
	running   map[string]*listener // by tag, those that go on until they are cancelled
	runs      sync.Mutex
}

// talk is the life of a connection.
func (r *Router) talk(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	c := &client{r: r, conn: conn, running: map[string]*listener{}}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r.mu.Lock()
	r.clients[c] = cancel
	r.mu.Unlock()
	defer func() {
		cancel()
		stop()
		conn.Close()
		c.work.Wait()
		r.mu.Lock()
		delete(r.clients, c)
		r.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		words, err := readSentence(in)
		if err != nil {
			return
		}
		cmd, err := parseCommand(words)
		if err != nil {
			c.reply("", "!fatal", err.Error())
			return
		}
		if !c.in && cmd.name != "/login" {
			c.reply("", "!fatal", "not logged in")
			return
		}
		if cmd.tag == "" {
			if !c.handle(ctx, cmd) {
				return
			}
			continue
		}
		cmd.hears = c.hear(ctx, cmd) // now: what comes after it on this connection is heard, and may be its /cancel
		c.work.Go(func() {
			defer c.deaf(cmd)
			if !c.handle(ctx, cmd) {
				cancel()
			}
		})
	}
}

// command is a sentence of a client.
type command struct {
	name    string // /ppp/secret/print
	tag     string
	args    arguments
	queries []string
	hears   *listener // of a listen
}

var errNoCommand = errors.New("no command in the sentence")

func parseCommand(words []string) (command, error) {
	cmd := command{name: words[0], args: arguments{values: map[string]string{}}}
	if !strings.HasPrefix(cmd.name, "/") {
		return cmd, errNoCommand
	}
	for _, w := range words[1:] {
		switch {
		case strings.HasPrefix(w, "="):
			name, value, _ := strings.Cut(w[1:], "=")
			if _, twice := cmd.args.values[name]; !twice {
				cmd.args.names = append(cmd.args.names, name)
			}
			cmd.args.values[name] = value
		case strings.HasPrefix(w, ".tag="):
			cmd.tag = w[len(".tag="):]
		case strings.HasPrefix(w, "?"):
			cmd.queries = append(cmd.queries, w)
		}
	}
	return cmd, nil
}

// handle answers one command; false ends the connection.
func (c *client) handle(ctx context.Context, cmd command) bool {
	f := c.r.fault(cmd.name)
	switch f.How {
	case Drop:
		return false
	case Refuse:
		return c.trap(cmd, &trap{f.Category, f.Message})
	case Fatal:
		c.reply(cmd.tag, "!fatal", f.Message)
		return false
	case Slow:
		select {
		case <-ctx.Done():
			return false
		case <-time.After(f.Delay):
		}
	}
	answers, err := c.answer(ctx, cmd)
	switch {
	case f.How == Lose:
		return false
	case f.How == Mute:
		return true
	case f.How == Cut:
		c.cut(cmd, answers)
		return false
	case errors.Is(err, errQuit):
		c.reply(cmd.tag, "!fatal", "session terminated on request")
		return false
	case errors.Is(err, errRebooted):
		return false
	}
	var t *trap
	if errors.As(err, &t) {
		return c.trap(cmd, t)
	}
	for _, a := range answers {
		if !c.reply(cmd.tag, a...) {
			return false
		}
	}
	return true
}

var (
	errQuit     = errors.New("quit")
	errRebooted = errors.New("rebooted")
)

// answer does a command and returns the sentences of its reply.
func (c *client) answer(ctx context.Context, cmd command) ([][]string, error) {
	switch cmd.name {
	case "/login":
		return c.login(cmd)
	case "/quit":
		return nil, errQuit
	case "/cancel":
		c.cancel(cmd.args.values["tag"])
		return [][]string{{"!done"}}, nil
	case "/system/reboot", "/system/shutdown":
		c.r.Reboot()
		return nil, errRebooted
	}
	i := strings.LastIndexByte(cmd.name, '/')
	path, verb := cmd.name[:i], cmd.name[i+1:]
	m := c.r.menus[path]
	if m == nil {
		return nil, &trap{trapMissing, "no such command prefix"}
	}
	if verb == "listen" {
		return nil, c.listen(ctx, m, cmd)
	}
	return c.r.run(m, verb, cmd)
}

// login is both forms: name and password since 6.43, the MD5 challenge before
// 6.45. A router before 6.43 answers a name and password with a challenge, for
// it looks at neither.
func (c *client) login(cmd command) ([][]string, error) {
	r := c.r
	name, response := cmd.args.values["name"], cmd.args.values["response"]
	password, plain := cmd.args.values["password"]
	old := r.version.before(version{6, 45})
	modern := !r.version.before(version{6, 43})
	wrong := &trap{trapGeneral, "invalid user name or password (6)"}
	if !modern {
		wrong = &trap{trapGeneral, "cannot log in"}
	}
	switch {
	case response != "":
		if !old || c.challenge == nil {
			return nil, wrong
		}
		digest := md5.Sum(slices.Concat([]byte{0}, []byte(r.config.Password), c.challenge)) //nolint:gosec // as above
		c.challenge = nil
		if name != r.config.User || response != "00"+hex.EncodeToString(digest[:]) {
			return nil, wrong
		}
	case plain && modern:
		if name != r.config.User || password != r.config.Password {
			return nil, wrong
		}
	case old:
		c.challenge = make([]byte, 16)
		rand.Read(c.challenge)
		return [][]string{{"!done", "=ret=" + hex.EncodeToString(c.challenge)}}, nil
	default:
		return nil, wrong
	}
	c.in = true
	return [][]string{{"!done"}}, nil
}

// listen sends each change of a menu until it is cancelled.
func (c *client) listen(ctx context.Context, m *menu, cmd command) error {
	if cmd.hears == nil { // a listen without a tag: nothing comes after it
		cmd.hears = c.hear(ctx, cmd)
		defer c.deaf(cmd)
	}
	for {
		select {
		case <-cmd.hears.stopped:
			return &trap{trapStopped, "interrupted"}
		case row, more := <-cmd.hears.send:
			if !more || !c.reply(cmd.tag, m.sentence(row, cmd.args.values[".proplist"])...) {
				return errRebooted
			}
		}
	}
}

// hear makes the listener of a listen, which can be cancelled by its tag from now
// on; nil for any other command.
func (c *client) hear(ctx context.Context, cmd command) *listener {
	path, is := strings.CutSuffix(cmd.name, "/listen")
	if !is {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	l := &listener{path: path, send: make(chan map[string]string, 1024), stop: stop, stopped: ctx.Done()}
	c.runs.Lock()
	c.running[cmd.tag] = l
	c.runs.Unlock()
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.listeners[l] = struct{}{}
	return l
}

// deaf ends the listener of a command that has one.
func (c *client) deaf(cmd command) {
	l := cmd.hears
	if l == nil {
		return
	}
	l.stop()
	c.runs.Lock()
	if c.running[cmd.tag] == l {
		delete(c.running, cmd.tag)
	}
	c.runs.Unlock()
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	delete(c.r.listeners, l)
}

// cancel ends what runs under a tag; "" is all of it.
func (c *client) cancel(tag string) {
	c.runs.Lock()
	defer c.runs.Unlock()
	for t, l := range c.running {
		if tag == "" || t == tag {
			l.stop()
		}
	}
}

// reply writes one sentence with the command's tag; false where the client is
// gone.
func (c *client) reply(tag string, words ...string) bool {
	if tag != "" {
		words = append(words, ".tag="+tag)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.conn.Write(appendSentence(nil, words...))
	return err == nil
}

func (c *client) trap(cmd command, t *trap) bool {
	words := []string{"!trap"}
	if t.category > 0 { // 0 is not told
		words = append(words, "=category="+string(rune('0'+t.category)))
	}
	return c.reply(cmd.tag, append(words, "=message="+t.message)...) && c.reply(cmd.tag, "!done")
}

// cut writes a reply but for the second half of its last sentence.
func (c *client) cut(cmd command, answers [][]string) {
	var b []byte
	for _, a := range answers {
		if cmd.tag != "" {
			a = append(a, ".tag="+cmd.tag)
		}
		b = appendSentence(b, a...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.Write(b[:max(1, len(b)-4)])
}
