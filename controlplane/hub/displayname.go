package hub

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDisplayName is how long a display name may be, in characters.
const maxDisplayName = 255

// ParseDisplayName checks what people call a server by JupyterHub 6's rule: 1 to 255 printable characters, single spaces between
// them and none around them.
func ParseDisplayName(s string) (string, error) {
	bad := strings.TrimSpace(s) != s || strings.Contains(s, "  ") || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
	if n := utf8.RuneCountInString(s); bad || n < 1 || n > maxDisplayName || !utf8.ValidString(s) {
		return "", Errorf(Invalid, "Invalid display_name: '%s'. It has 1 to %d printable characters, with single spaces between words.", Clip(s), maxDisplayName)
	}
	return s, nil
}
