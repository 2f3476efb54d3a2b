package plugin

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Timing and sizes of WebSockets.
const (
	lookEvery     = 5 * time.Second // how often an interpreter looks at a busy socket, which has a large buffer until then
	stalledAfter  = 5 * time.Minute // a peer that takes nothing for so long is gone
	answerTimeout = time.Minute     // until the server has answered the upgrade
	peekSize      = 512             // the buffer of an idle direction
)

// relay opens a WebSocket to the server and leaves it to two goroutines of its own: what the request and its handlers hold is
// then free while the socket lives, for hours mostly. ctx is of the handshake only.
//
// The bytes pass through io.CopyBuffer, so that an interpreter has no work with each message, and an idle socket holds two
// small buffers instead of the 64 KB that httputil.ReverseProxy takes.
func relay(ctx context.Context, s *shared, w http.ResponseWriter, r *http.Request, v *visit) {
	out := r.WithContext(ctx)
	forward(out, v.pass.target, v.query, v.pass.told)
	out.Header["Connection"] = []string{"Upgrade"}
	out.Header["Upgrade"] = []string{"websocket"}
	server, err := dialServer(ctx, s, v.pass.target)
	if err != nil {
		s.serverFailed(w, r, v, err)
		return
	}
	stop := closeWith(ctx, s, server)
	client := upgrade(s, w, r, out, v, server)
	if !stop() || client == nil {
		server.Close()
		if client != nil {
			client.Close()
		}
		return
	}
	v.use = realSocket(r, v.pass.prefix)
	keepOpen(s, v, client, server)
}

// upgrade does the handshake with the server and then with the visitor, and returns the visitor's connection. It returns nil
// if there is no WebSocket, and has answered then.
func upgrade(s *shared, w http.ResponseWriter, r, out *http.Request, v *visit, server net.Conn) net.Conn {
	fromServer, resp, err := askUpgrade(server, out)
	if err != nil {
		s.serverFailed(w, r, v, err)
		return nil
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		sendAnswer(s, w, r, v, resp)
		return nil
	}
	copyHeader(w.Header(), resp.Header)
	filterAnswer(w.Header(), v)
	noteSent(r, http.StatusSwitchingProtocols)
	client, fromClient, err := takeOver(w, resp)
	if err != nil {
		s.log.printf("upgrade", "cannot take over a connection for a WebSocket: %s", clip(err.Error()))
		answer(s, w, r, http.StatusInternalServerError, "internal", "This connection cannot carry a WebSocket.")
		return nil
	}
	if server.SetDeadline(time.Time{}) != nil || passBuffered(server, fromClient.Reader) != nil || passBuffered(client, fromServer) != nil {
		client.Close()
		return nil
	}
	return client
}

// keepOpen hands a WebSocket over to those that copy, until one of its ends closes, or the visit is cut, or the edge stops.
func keepOpen(s *shared, v *visit, client, server net.Conn) {
	open := &visit{pass: v.pass, route: v.route, claims: v.claims, use: v.use, client: client, server: server}
	if !joinLive(s.live, open, &s.wg, 2) {
		closeVisit(open)
		return
	}
	if s.live.wasCut(v) { // before open was there to be cut
		closeVisit(open)
	}
	atomic.AddInt64(&s.counts.sockets, 1)
	s.sockets <- open
}

// startSockets starts the copying of the WebSockets that are handed to it. It runs beside all requests, because Yaegi keeps
// for a goroutine the variables of the function that started it, of that one's caller, and so on: as a child of its request,
// a socket would hold that request's buffers and headers for as long as it lives, which is 30 KB.
func startSockets(s *shared) {
	defer s.handing.Done()
	defer s.recovered("sockets")
	for v := range s.sockets {
		go copySocket(s, v, v.client, v.server, true)
		go copySocket(s, v, v.server, v.client, false)
	}
}

// dialServer opens a connection to a user's server, with TLS if its address says so.
func dialServer(ctx context.Context, s *shared, a *address) (net.Conn, error) {
	conn, err := s.reach.dial(ctx, a.host)
	if err != nil || a.scheme != "https" {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, &tls.Config{ServerName: a.name, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// closeWith closes conn when ctx ends, which ends every copy from and to it, until the returned function is called.
func closeWith(ctx context.Context, s *shared, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() {
		defer s.recovered("cut")
		conn.Close()
	})
}

// askUpgrade sends the request and reads the header of the answer. What the server has sent behind it is in the reader.
func askUpgrade(server net.Conn, out *http.Request) (*bufio.Reader, *http.Response, error) {
	if err := server.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, nil, err
	}
	out.Body = nil
	if err := out.Write(server); err != nil {
		return nil, nil, err
	}
	header := &io.LimitedReader{R: server, N: maxResponseHeader}
	in := bufio.NewReaderSize(header, peekSize)
	for i := 0; i < 5; i++ { // "103 Early Hints" and the like are not for us
		resp, err := http.ReadResponse(in, out)
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode >= 200 {
			header.N = math.MaxInt64
			return in, resp, switchedTo(resp)
		}
	}
	return nil, nil, errors.New("the server does not answer the upgrade")
}

// switchedTo refuses a switch to anything but a WebSocket.
func switchedTo(resp *http.Response) error {
	if resp.StatusCode == http.StatusSwitchingProtocols && !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
		return errStatus
	}
	return nil
}

// takeOver tells the visitor that the protocol is switched and takes the connection out of the HTTP server's hands.
func takeOver(w http.ResponseWriter, resp *http.Response) (net.Conn, *bufio.ReadWriter, error) {
	header := w.Header().Clone()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", "websocket")
	switched := &http.Response{StatusCode: resp.StatusCode, ProtoMajor: 1, ProtoMinor: 1, Header: header}
	if err = switched.Write(buffered); err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return client, buffered, nil
}

// passBuffered sends on what was read together with the header.
func passBuffered(to io.Writer, from *bufio.Reader) error {
	n := from.Buffered()
	if n == 0 {
		return nil
	}
	_, err := io.CopyN(to, from, int64(n))
	return err
}

// copySocket copies in one direction until an end or an error; when one direction has ended, so has the other. While nothing
// happens it waits with a small buffer, and no call of ours is open besides this one, which keeps an interpreter's stack small.
func copySocket(s *shared, v *visit, to, from net.Conn, counted bool) {
	defer socketEnded(s, v, counted)
	defer s.recovered("websocket")
	first := make([]byte, peekSize)
	for {
		if from.SetReadDeadline(time.Time{}) != nil {
			return
		}
		n, err := from.Read(first)
		if !passOn(s, v, to, from, first[:n]) || err != nil {
			return
		}
	}
}

// socketEnded is the end of one direction, and of the visit.
func socketEnded(s *shared, v *visit, counted bool) {
	removeLive(s.live, v)
	if counted {
		atomic.AddInt64(&s.counts.sockets, -1)
	}
	s.wg.Done()
}

// passOn sends on what came first after a silence, and reports whether the connection goes on. What it is tells whether
// somebody uses the socket or only a ping keeps it open. After use some seconds pass without another look.
func passOn(s *shared, v *visit, to, from net.Conn, data []byte) bool {
	if len(data) == 0 {
		return true
	}
	if to.SetWriteDeadline(time.Now().Add(s.stalled)) != nil {
		return false
	}
	if _, err := to.Write(data); err != nil {
		return false
	}
	if onlyControl(data) {
		return true
	}
	if v.use {
		s.activity.note(v.route, time.Now().Unix())
	}
	return copyFor(s, to, from, lookEvery)
}

// copyFor copies for a while and reports whether the connection goes on.
func copyFor(s *shared, to, from net.Conn, d time.Duration) bool {
	now := time.Now()
	if from.SetReadDeadline(now.Add(d)) != nil || to.SetWriteDeadline(now.Add(d+s.stalled)) != nil {
		return false
	}
	buf, _ := s.buffers.Get().([]byte)
	// The wrappers hide from io.CopyBuffer what would make it take other buffers, or two file descriptors for a pipe.
	_, err := io.CopyBuffer(io.MultiWriter(to), io.LimitReader(from, math.MaxInt64), buf)
	s.buffers.Put(buf) //nolint:staticcheck // a pointer would cost Yaegi more than the allocation
	return err != nil && errors.Is(err, os.ErrDeadlineExceeded)
}

// onlyControl reports whether data holds nothing but whole WebSocket control frames (RFC 6455, 5.5): the pings with which
// servers keep sockets open, and their answers. A piece of a longer message is not taken for one: it would have to spell
// out exactly such frames.
func onlyControl(data []byte) bool {
	for len(data) >= 2 {
		size := 2 + int(data[1]&0x7f)
		if data[1]&0x80 != 0 {
			size += 4
		}
		if op := data[0]; op != 0x89 && op != 0x8a || size > 131 || size > len(data) {
			return false
		}
		data = data[size:]
	}
	return len(data) == 0
}
