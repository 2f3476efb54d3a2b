package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	tailBytes = 64 << 10
	longLine  = 4 << 10
	shortLine = 300
)

// openLog makes a new log the output of this process. The log before it is kept, once.
func openLog(dir string, cred *credential) error {
	path := filepath.Join(dir, logFile)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if cred != nil { // opening /dev/stderr, as scripts do, needs rights on what it stands for
		if err := f.Chown(cred.UID, cred.GID); err != nil {
			return err
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	return errors.Join(unix.Dup3(int(null.Fd()), 0, 0), unix.Dup3(int(f.Fd()), 1, 0), unix.Dup3(int(f.Fd()), 2, 0))
}

// LogTail gives up to n of the last lines that the newest process of a name wrote, or "". They are for the person whose
// server it is: secrets of the server and control characters are taken out, long lines are cut.
func (s *Spawner) LogTail(name string, n int) string {
	dir, err := s.folder(name)
	if err != nil {
		return ""
	}
	r, err := readRecord(dir)
	if err != nil {
		return "" // then its secrets are not known
	}
	text, err := readEnd(filepath.Join(dir, logFile), tailBytes)
	if err != nil {
		return ""
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n\t "); line != "" {
			lines = append(lines, line)
		}
	}
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = r.Seals.clean(line)
	}
	return strings.Join(lines, "\n")
}

// readEnd reads the last limit bytes of a file, from the beginning of a line.
func readEnd(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	from := max(0, size-limit)
	data := make([]byte, min(size, limit))
	if _, err := f.ReadAt(data, from); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	text := string(data)
	if from > 0 {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text, nil
}

var (
	escapes  = regexp.MustCompile("\x1b(\\[[0-9;?]*[A-Za-z]|\\][^\x07\x1b]*(\x07|\x1b\\\\)|.)")
	mentions = regexp.MustCompile(`(?i)\b((?:[a-z_]*token|[a-z_]*secret|passw(?:or)?d|api_key|code)=|authorization: *[a-z]+ +)[^\s&"']+`)
)

const stars = "[secret]"

// clean makes one line fit to be shown.
func (s seals) clean(line string) string {
	line = strings.ToValidUTF8(escapes.ReplaceAllString(line, ""), "?")
	line = strings.Map(func(c rune) rune {
		if c < 0x20 && c != '\t' || 0x7f <= c && c < 0xa0 {
			return -1
		}
		return c
	}, line)
	// Secrets go before the line is cut: half of one would not be recognised.
	line = s.redact(cut(line, longLine))
	return cut(mentions.ReplaceAllString(line, "${1}"+stars), shortLine)
}

func cut(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	return strings.ToValidUTF8(line[:limit], "") + "…"
}
