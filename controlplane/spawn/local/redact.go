package local

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
)

// seals recognise secrets in a log without holding them: any replica, also one that never knew them, can take them out,
// and nothing on disk gives them away.
type seals struct {
	Salt  []byte       `json:"salt,omitempty"`
	Marks []secretMark `json:"marks,omitempty"`
}

type secretMark struct {
	Len int    `json:"len"`
	Sum []byte `json:"sum"`
}

// minSecret is the length below which a value is taken for a word, like "true", and not looked for.
const minSecret = 8

func seal(secrets []string) (seals, error) {
	s := seals{Salt: make([]byte, 16)}
	if _, err := rand.Read(s.Salt); err != nil {
		return seals{}, err
	}
	for _, secret := range secrets {
		if len(secret) >= minSecret {
			s.Marks = append(s.Marks, secretMark{len(secret), s.sum(secret)})
		}
	}
	slices.SortFunc(s.Marks, func(a, b secretMark) int { return b.Len - a.Len }) // a secret may be part of another
	return s, nil
}

func (s seals) sum(text string) []byte {
	mac := hmac.New(sha256.New, s.Salt)
	mac.Write([]byte(text))
	return mac.Sum(nil)[:8]
}

// redact compares each stretch of the line that is as long as a secret. Lines are short.
func (s seals) redact(line string) string {
	for _, m := range s.Marks {
		var b strings.Builder
		for m.Len <= len(line) {
			if !hmac.Equal(s.sum(line[:m.Len]), m.Sum) {
				b.WriteByte(line[0])
				line = line[1:]
				continue
			}
			b.WriteString(stars)
			line = line[m.Len:]
		}
		line = b.String() + line
	}
	return line
}
