package ctrf

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// check is a strict reader of the format: the tables say which keys an object
// has, of which kind, and which it must have (!). Every other key is a mistake.
type shape map[string]string

var shapes = map[string]shape{
	"root":       {"reportFormat": "!CTRF", "specVersion": "!semver", "reportId": "uuid", "timestamp": "time", "generatedBy": "text", "results": "!results", "extra": "any"},
	"results":    {"tool": "!tool", "summary": "!summary", "tests": "!list test", "environment": "any", "extra": "any"},
	"tool":       {"name": "!name", "version": "text", "extra": "any"},
	"summary":    {"tests": "!count", "passed": "!count", "failed": "!count", "skipped": "!count", "pending": "!count", "other": "!count", "flaky": "count", "suites": "count", "start": "!count", "stop": "!count", "duration": "count", "extra": "any"},
	"test":       {"id": "uuid", "name": "!name", "status": "!status", "duration": "!count", "start": "count", "stop": "count", "suite": "list text", "message": "text", "trace": "text", "line": "count", "rawStatus": "text", "tags": "list text", "type": "text", "filePath": "text", "retries": "count", "retryAttempts": "list attempt", "flaky": "flag", "attachments": "list attachment", "parameters": "any", "steps": "list step", "extra": "any"},
	"attempt":    {"attempt": "!first", "status": "!status", "duration": "count", "message": "text", "trace": "text", "line": "count", "extra": "any"},
	"step":       {"name": "!text", "status": "!status", "extra": "any"},
	"attachment": {"name": "!text", "contentType": "!text", "path": "!text", "extra": "any"},
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func check(text []byte) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	if err := keeps(v, "root", "$"); err != nil {
		return err
	}
	return adds(v.(map[string]any)["results"].(map[string]any))
}

// keeps checks a value against a kind of the tables.
func keeps(v any, kind, at string) error {
	wrong := fmt.Errorf("%s: %v is no %s", at, v, kind)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	switch kind {
	case "CTRF":
		return unless(text == "CTRF", wrong)
	case "semver":
		return unless(regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(text), wrong)
	case "uuid":
		return unless(uuidForm.MatchString(text), wrong)
	case "time":
		_, err := time.Parse(time.RFC3339, text)
		return err
	case "text":
		return unless(isText, wrong)
	case "name":
		return unless(text != "", wrong)
	case "flag":
		_, ok := v.(bool)
		return unless(ok, wrong)
	case "count", "first":
		least := float64(strings.Count(kind, "first"))
		return unless(isNumber && number >= least && number == math.Trunc(number), wrong)
	case "status":
		return unless(strings.Contains(" passed failed skipped pending other ", " "+text+" ") && text != "", wrong)
	}
	if item, ok := strings.CutPrefix(kind, "list "); ok {
		list, ok := v.([]any)
		if !ok || at[strings.LastIndex(at, ".")+1:] == "suite" && len(list) == 0 {
			return wrong
		}
		for i, v := range list {
			if err := keeps(v, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return wrong
	}
	if kind == "any" {
		return nil
	}
	for key, v := range m {
		want, known := shapes[kind][key]
		if !known {
			return fmt.Errorf("%s: the format has no key %q here", at, key)
		}
		if err := keeps(v, strings.TrimPrefix(want, "!"), at+"."+key); err != nil {
			return err
		}
	}
	for key, want := range shapes[kind] {
		if _, there := m[key]; !there && want[0] == '!' {
			return fmt.Errorf("%s: no %s", at, key)
		}
	}
	return nil
}

func unless(ok bool, wrong error) error {
	if ok {
		return nil
	}
	return wrong
}

// adds checks that the summary says what the tests do.
func adds(results map[string]any) error {
	got := map[string]float64{}
	for _, t := range results["tests"].([]any) {
		t := t.(map[string]any)
		got["tests"]++
		got[t["status"].(string)]++
		if t["flaky"] == true {
			got["flaky"]++
		}
	}
	summary := results["summary"].(map[string]any)
	for _, key := range []string{"tests", "passed", "failed", "skipped", "pending", "other", "flaky"} {
		if summary[key] != got[key] {
			return fmt.Errorf("the summary has %v %s, the tests %v", summary[key], key, got[key])
		}
	}
	return unless(summary["start"].(float64) <= summary["stop"].(float64), fmt.Errorf("the end is before the start"))
}
