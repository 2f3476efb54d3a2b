package oauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// protocolError is an error in the words of RFC 6749, sections 4.1.2.1 and 5.2.
type protocolError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	status      int    // of an answer to a program, 400 if it is zero
}

// Error is the code with the description.
func (e *protocolError) Error() string { return e.Code + ": " + e.Description }

// HTTPStatus is the status of an answer to a program.
func (e *protocolError) HTTPStatus() int {
	if e.status == 0 {
		return http.StatusBadRequest
	}
	return e.status
}

func wrong(code, description string) error {
	return &protocolError{Code: code, Description: strings.Map(describing, description)}
}

// describing keeps of a description what RFC 6749 allows in one.
func describing(c rune) rune {
	switch {
	case c == '"' || c == '\\':
		return '\''
	case c < ' ' || c > '~':
		return '?'
	}
	return c
}

// writeError answers a program.
func writeError(w http.ResponseWriter, _ *http.Request, status int, err error) {
	web.SetRetryAfter(w, status)
	var protocol *protocolError
	if errors.As(err, &protocol) {
		_ = web.JSON(w, status, protocol)
		return
	}
	answer := protocolError{Code: "server_error", Description: web.Message(err)}
	switch hub.KindOf(err) {
	case hub.Unavailable, hub.Exhausted:
		answer.Code = "temporarily_unavailable"
	case hub.Invalid:
		answer.Code = "invalid_request"
	case hub.Unauthenticated:
		answer.Code = "invalid_grant"
	}
	_ = web.JSON(w, status, answer)
}
