package archive

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

const picture = "a picture"

func digest(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// stream is a batch of two runs side by side: one passed, one failed with a file, and
// of a third the end is missing.
func batch() []*event.Event {
	step := func(id string) *event.Step {
		return &event.Step{ID: id, Path: []string{id}, Action: "http.request", Phase: event.PhaseSteps, File: "flows/a.yaml", Line: 4, Try: 1}
	}
	at := func(ms int, run string, e event.Event) *event.Event {
		e.Time, e.BatchID, e.RunID, e.Attempt, e.Flow = noon.Add(time.Duration(ms)*time.Millisecond), "b1", run, 1, "Pay"
		return &e
	}
	started := func(row int) event.Event {
		return event.Event{Type: event.TypeRunStarted, Seq: 1, RunStarted: &event.RunStarted{
			File: "flows/a.yaml", Tags: []string{"smoke"}, Environment: "staging", Agent: "local", Row: &event.Row{Index: row, Name: "ada"},
		}}
	}
	log := event.Event{Type: event.TypeStepLog, Seq: 2, Step: step("pay"), Log: &event.Log{Level: "info", Message: "</script> \x1b[31m grüße"}}
	stored := event.Event{Type: event.TypeStepArtifact, Seq: 3, Step: step("pay"), Artifact: &event.Artifact{Name: "../shot.png", MediaType: "image/png", Size: int64(len(picture)), SHA256: digest(picture), Data: []byte(picture)}}
	failed := event.Event{Type: event.TypeStepFinished, Seq: 4, Step: step("pay"), StepFinished: &event.StepFinished{
		Status: event.Failed, Tries: 1, DurationMS: 3, Assertions: []event.Assertion{{Expression: "status == 201", Message: "expected 201, got 200"}},
	}}
	passed := event.Event{Type: event.TypeStepFinished, Seq: 2, Step: step("pay"), StepFinished: &event.StepFinished{Status: event.Passed, Tries: 1, DurationMS: 3}}
	end := func(s event.Status, outputs map[string]any) event.Event {
		return event.Event{Type: event.TypeRunFinished, Seq: 5, RunFinished: &event.RunFinished{Status: s, DurationMS: 12.5, Steps: event.Counts{s: 1}, Outputs: outputs}}
	}
	price, err := value.ParseNumber("12345678901234567890")
	if err != nil {
		panic(err)
	}
	return []*event.Event{
		at(0, "", event.Event{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{Runs: 3, Seed: 7}}),
		at(1, "r1", started(0)), at(2, "r2", started(1)), at(3, "r2", log), at(4, "r1", passed), at(5, "r2", stored),
		at(6, "r1", end(event.Passed, map[string]any{"total": price})), at(7, "r2", failed), at(8, "r2", end(event.Failed, nil)), at(9, "r3", started(2)),
		at(10, "", event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{Counts: event.Counts{event.Passed: 1, event.Failed: 1}, ExitCode: 1}}),
	}
}

func write(t *testing.T, o Options, events ...*event.Event) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, o)
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func open(data []byte) (*Archive, error) { return Open(bytes.NewReader(data), int64(len(data))) }

func TestWhatWasWrittenIsRead(t *testing.T) {
	events := batch()
	data := write(t, Options{
		Program: "1.2.3",
		Source:  func(file string) []byte { return []byte("flow: " + file + " of hunter2") },
		Mask:    func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("hunter2"), []byte("***")) },
	}, events...)
	a, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	if err := a.Events(func(e *event.Event) error { got = append(got, string(event.AppendJSON(nil, e))); return nil }); err != nil {
		t.Fatal(err)
	}
	// Side by side became one after the other, in the order of their ends.
	for _, run := range []string{"r1", "r2", "r3"} {
		for _, e := range events {
			if e.RunID == run {
				want = append(want, string(event.AppendJSON(nil, e)))
			}
		}
	}
	first, last := string(event.AppendJSON(nil, events[0])), string(event.AppendJSON(nil, events[len(events)-1]))
	if diff := cmp.Diff(append(append([]string{first}, want...), last), got); diff != "" {
		t.Errorf("events: %s", diff)
	}
	if text, ok := a.Source("flows/a.yaml"); !ok || string(text) != "flow: flows/a.yaml of ***" {
		t.Errorf("the source is %q, %v", text, ok)
	}
	if _, ok := a.Source("flows/b.yaml"); ok {
		t.Error("there is a source that was not written")
	}
	in, size, ok := a.File(digest(picture))
	if !ok {
		t.Fatal("the stored file is not there")
	}
	file, err := io.ReadAll(in)
	if err != nil || string(file) != picture || size != int64(len(picture)) {
		t.Errorf("the stored file is %q, %d bytes, %v", file, size, err)
	}
	if a.Program != "1.2.3" || a.Started.BatchStarted.Seed != 7 || a.Finished.BatchFinished.ExitCode != 1 || len(a.Missing) != 0 {
		t.Errorf("the manifest says %+v", a)
	}
}

func TestTheRecordOfARunIsThatOfTheAPI(t *testing.T) {
	a, err := open(write(t, Options{}, batch()...))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, r := range a.Runs {
		if got[r.ID], err = value.Decode(r.Record); err != nil {
			t.Fatal(err)
		}
	}
	field := func(run string, keys ...any) any {
		v := got[run]
		for _, key := range keys {
			switch k := key.(type) {
			case string:
				v = v.(map[string]any)[k]
			case int:
				v = v.([]any)[k]
			}
		}
		return v
	}
	for name, test := range map[string]struct{ got, want any }{
		"passed":                      {field("r1", "status"), "RUN_STATUS_PASSED"},
		"exact outputs":               {field("r1", "outputs"), `{"total":12345678901234567890}`},
		"failed":                      {field("r2", "status"), "RUN_STATUS_FAILED"},
		"its row":                     {field("r2", "spec", "label"), "row 2 (ada)"},
		"why it failed":               {field("r2", "step_summaries", 0, "message"), "status == 201: expected 201, got 200"},
		"who ran it":                  {field("r2", "attempts", 0, "agent_name"), "local"},
		"what did not end is errored": {field("r3", "status"), "RUN_STATUS_ERRORED"},
		"and says so":                 {field("r3", "reason"), "it has not ended"},
		"its number":                  {field("r3", "number"), int64(3)},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", name, test.got, test.want)
		}
	}
}

func TestARecordOfAControlPlaneIsKept(t *testing.T) {
	record := func(id string) []byte {
		if id == "r1" {
			return []byte(`{"id":"r1","quarantined":true}`)
		}
		return nil
	}
	a, err := open(write(t, Options{Record: record}, batch()...))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(a.Runs[0].Record); got != `{"id":"r1","quarantined":true}` {
		t.Errorf("got %s", got)
	}
}

func TestALongRunIsWrittenInParts(t *testing.T) {
	events := batch()
	long := *events[3]
	long.Log = &event.Log{Level: "info", Message: strings.Repeat("0123456789", 50_000)}
	var all []*event.Event
	all = append(all, events[:4]...)
	for range 8 {
		all = append(all, &long)
	}
	data := write(t, Options{}, append(all, events[4:]...)...)
	a, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := a.Stream(&text, "r2", 1); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(text.String(), "\n"); got != 5+8 {
		t.Errorf("the stream has %d lines, want %d", got, 5+8)
	}
	if parts := a.Runs[1].parts[1]; parts < 3 {
		t.Errorf("4 MB of events are in %d parts: each is held in memory", parts)
	}
	if err := a.Stream(&text, "r9", 1); err == nil {
		t.Error("a run that is not there has a stream")
	}
}

func TestAFileThatNobodyHadIsNamed(t *testing.T) {
	events := batch()
	stored := *events[5]
	artifact := *stored.Artifact
	artifact.Data = nil
	stored.Artifact = &artifact
	events[5] = &stored
	a, err := open(write(t, Options{}, events...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{digest(picture)}, a.Missing); diff != "" {
		t.Error(diff)
	}
	if _, _, ok := a.File(digest(picture)); ok {
		t.Error("the file is there")
	}
}

// repack writes an archive anew, each entry as change says; nil leaves it out.
func repack(t *testing.T, data []byte, change func(name string, content []byte) (string, []byte), more map[string]string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	put := func(name string, content []byte) {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		name := f.Name
		if change != nil {
			name, content = change(name, content)
		}
		if content != nil {
			put(name, content)
		}
	}
	for name, content := range more {
		put(name, []byte(content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAnArchiveThatIsNotWholeIsASentence(t *testing.T) {
	good := write(t, Options{Program: "9.9"}, batch()...)
	if _, err := open(repack(t, good, nil, nil)); err != nil {
		t.Fatalf("packed again it is refused: %v", err)
	}
	in := func(part, old, fresh string) func(string, []byte) (string, []byte) {
		return func(name string, content []byte) (string, []byte) {
			if strings.Contains(name, part) {
				content = bytes.ReplaceAll(content, []byte(old), []byte(fresh))
			}
			return name, content
		}
	}
	without := func(part string) func(string, []byte) (string, []byte) {
		return func(name string, content []byte) (string, []byte) {
			if strings.Contains(name, part) {
				return name, nil
			}
			return name, content
		}
	}
	flipped := bytes.Clone(good)
	flipped[bytes.Index(good, []byte("r2/1/000001.jsonl"))+30] ^= 0x55
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":              {nil, "no run archive, or its end is missing"},
		"a text":               {[]byte("hello"), "no run archive"},
		"cut in the middle":    {good[:len(good)/2], "its end is missing"},
		"cut at the end":       {good[:len(good)-1], "its end is missing"},
		"a byte is another":    {flipped, "damaged"},
		"without a manifest":   {repack(t, good, without("manifest"), nil), "no manifest"},
		"another ZIP":          {repack(t, good, in("manifest", "testmesh run archive", "my archive"), nil), "but no run archive"},
		"a newer one":          {repack(t, good, in("manifest", `"version":1`, `"version":2`), nil), "up to version 1"},
		"no version":           {repack(t, good, in("manifest", `"version":1`, `"version":0`), nil), "has no version"},
		"a manifest of nobody": {repack(t, good, in("manifest", `{`, `[`), nil), "no JSON"},
		"a missing part":       {repack(t, good, without("r2/1/"), nil), "part 1 of run r2 is missing"},
		"a missing record":     {repack(t, good, without("r2/run.json"), nil), "r2/run.json is missing"},
		"a record of another":  {repack(t, good, in("r2/run.json", `"id":"r2"`, `"id":"r3"`), nil), `the record of run "r2" is none`},
		"a file of another":    {repack(t, good, in("files/", "picture", "virus!!"), nil), "another content"},
		"a way out":            {repack(t, good, nil, map[string]string{"../../etc/passwd": "x"}), `"../../etc/passwd", which no run archive has`},
		"a way out of sources": {repack(t, good, nil, map[string]string{"source/../../x": "x"}), "which no run archive has"},
		"an absolute name":     {repack(t, good, nil, map[string]string{"/etc/passwd": "x"}), "which no run archive has"},
		"a name of Windows":    {repack(t, good, nil, map[string]string{`source\..\x`: "x"}), "which no run archive has"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := open(test.data); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// TestCutsAndOtherBytesAreSeen changes an archive all over: it is refused, or
// reads as before (the times of entries say nothing), and never panics.
func TestCutsAndOtherBytesAreSeen(t *testing.T) {
	good := write(t, Options{}, batch()...)
	said := func(data []byte) string {
		a, err := open(data)
		if err != nil {
			return ""
		}
		var out bytes.Buffer
		if err := a.Events(func(e *event.Event) error { out.Write(event.AppendJSON(nil, e)); return nil }); err != nil {
			return err.Error()
		}
		return out.String()
	}
	whole := said(good)
	for i := 0; i < len(good); i += 5 {
		if said(good[:i]) != "" {
			t.Fatalf("the first %d of %d bytes are an archive", i, len(good))
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if got := said(bad); got != "" && got != whole {
			t.Fatalf("byte %d of %d is another, and it reads differently: %.300s", i, len(good), got)
		}
	}
}

func TestABombIsNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z := zip.NewWriter(&bomb)
	for name, size := range map[string]uint64{manifestName: 2, "runs/r1/1/000001.jsonl": maxPart + 1} {
		f, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CompressedSize64: 2, UncompressedSize64: size})
		if err == nil {
			_, err = f.Write([]byte{3, 0})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(bomb.Bytes()); err == nil || !strings.Contains(err.Error(), "more than a run archive has") {
		t.Errorf("an entry of 64 MiB: got %v", err)
	}
	// One that is small, as it says, and is not.
	zeros := strings.Repeat("\x00", 1<<20)
	liar := repack(t, write(t, Options{}, batch()...), nil, map[string]string{"files/" + digest(zeros): zeros})
	at := bytes.LastIndex(liar, []byte{0, 0, 0x10, 0})
	if at < 0 {
		t.Fatal("the size is not in the list")
	}
	copy(liar[at:], []byte{9, 0, 0, 0})
	if _, err := open(liar); err == nil || !strings.Contains(err.Error(), "not what was written") {
		t.Errorf("an entry that lies about its size: got %v", err)
	}
}

// TestMoreThanAnyFileCanHold has entries within their bounds that together are more than
// their bytes could become.
func TestMoreThanAnyFileCanHold(t *testing.T) {
	var bomb bytes.Buffer
	z := zip.NewWriter(&bomb)
	for _, name := range []string{manifestName, "runs/r1/1/000001.jsonl", "runs/r1/1/000002.jsonl"} {
		f, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CompressedSize64: 2, UncompressedSize64: maxPart})
		if err == nil {
			_, err = f.Write([]byte{3, 0})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(bomb.Bytes()); err == nil || !strings.Contains(err.Error(), "when it is unpacked") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoNameOfARunIsRefused(t *testing.T) {
	w := NewWriter(io.Discard, Options{})
	started := *batch()[1]
	started.RunID = "../r1"
	if err := w.Write(&started); err == nil || !strings.Contains(err.Error(), "../r1") {
		t.Errorf("got %v", err)
	}
}
