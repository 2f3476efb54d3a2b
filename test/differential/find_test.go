package differential

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// find is a value in JSON by its path, ".items.0.id".
func find(body []byte, path string) (string, error) {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return "", err
	}
	for _, key := range strings.Split(strings.Trim(path, "."), ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(at) {
				return "", fmt.Errorf("no element %s", key)
			}
			v = at[i]
		default:
			return "", fmt.Errorf("nothing has %s", key)
		}
	}
	if v == nil {
		return "", fmt.Errorf("no %s", path)
	}
	return fmt.Sprint(v), nil
}
