package edge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// messageSize is the length of a WebSocket message: that of a keystroke or a cursor move in JupyterLab, and below 126,
// whose frames have a longer head.
const messageSize = 100

// message is a frame as a browser sends it: text, masked, here with a mask of zeros.
var message = append([]byte{0x81, 0x80 | messageSize, 0, 0, 0, 0}, bytes.Repeat([]byte("m"), messageSize)...)

// upgrade opens a WebSocket with the headers of a GET request.
func (c *conn) upgrade(request []byte) error {
	line, rest, _ := bytes.Cut(request, []byte("\r\n"))
	_ = c.conn.SetDeadline(time.Now().Add(answerTime))
	_, err := fmt.Fprintf(c.conn, "%s\r\nOrigin: http://%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s", line, host, rest)
	if err != nil {
		return err
	}
	status, _, err := c.head()
	if err == nil && status != http.StatusSwitchingProtocols {
		err = fmt.Errorf("got status %d", status)
	}
	c.socket = true
	return err
}

// echo sends a message and reads it back.
func (c *conn) echo() error {
	_ = c.conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := c.conn.Write(message); err != nil {
		return err
	}
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint16(head[:]) != 0x8100|messageSize {
		return fmt.Errorf("got a frame that starts with %x", head)
	}
	var body [messageSize]byte
	if _, err := io.ReadFull(c.in, body[:]); err != nil {
		return err
	}
	if !bytes.Equal(body[:], message[len(message)-messageSize:]) {
		return errors.New("got another message than was sent")
	}
	return nil
}

// echoSocket is the user server's side.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, text, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, text) != nil {
			return
		}
	}
}
