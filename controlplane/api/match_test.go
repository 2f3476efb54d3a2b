package api

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// kinds of values that differ from run to run: a pattern holds "<time>" where the answer holds a time.
var kinds = map[string]*regexp.Regexp{
	"<time>":     regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$`),
	"<token id>": regexp.MustCompile(`^a[1-9]\d*$`),
	"<secret>":   regexp.MustCompile(`^[0-9a-f]{32}$`),
	"<text>":     regexp.MustCompile(`.`),
	"<any time>": regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`),
}

// match compares decoded JSON with a pattern and says where they differ. Objects must have the same keys: a missing field and
// one too many are both visible to clients.
func match(got, want any, at string) string {
	switch want := want.(type) {
	case string:
		s, ok := got.(string)
		if kind := kinds[want]; kind != nil && ok && kind.MatchString(s) || ok && s == want {
			return ""
		}
	case map[string]any:
		return matchObject(got, want, at)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s is %v, want %v", at, got, want)
		}
		for i := range want {
			if diff := match(list[i], want[i], fmt.Sprintf("%s[%d]", at, i)); diff != "" {
				return diff
			}
		}
		return ""
	default:
		if got == want {
			return ""
		}
	}
	return fmt.Sprintf("%s is %v, want %v", at, got, want)
}

func matchObject(got any, want map[string]any, at string) string {
	object, ok := got.(map[string]any)
	if !ok {
		return fmt.Sprintf("%s is %v, want an object", at, got)
	}
	have, need := slices.Sorted(maps.Keys(object)), slices.Sorted(maps.Keys(want))
	if !slices.Equal(have, need) {
		return fmt.Sprintf("%s has fields %q, want %q", at, have, need)
	}
	for _, key := range need {
		if diff := match(object[key], want[key], at+"."+key); diff != "" {
			return diff
		}
	}
	return ""
}
