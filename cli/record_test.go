package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	"theme.js": {Data: []byte("theme")}, "recorded/recorded.js": {Data: []byte("the script of the page")}, "recorded/recorded.css": {Data: []byte("style")},
}

// said is what a command that goes on has printed: a reader waits for it.
type said struct {
	io.Writer
	lines *io.PipeReader
}

func listen() said {
	r, w := io.Pipe()
	return said{w, r}
}

// recorder is a program in a folder with a flow that fails.
func recorder(t *testing.T) *State {
	t.Helper()
	dir := t.TempDir()
	flow := "flow: {name: wrong, steps: [{id: check, action: assert, assert: [1 == 2]}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "wrong.yaml"), []byte(flow), 0o600); err != nil {
		t.Fatal(err)
	}
	return &State{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Dir: dir, Version: "v1.2.3",
		LookupEnv: func(string) (string, bool) { return "", false }, Page: func() (fs.FS, error) { return built, nil },
	}
}

func (s *State) do(t *testing.T, want int, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	s.Args, s.Stderr = args, &stderr
	if code := Main(t.Context(), s); code != want {
		t.Fatalf("%q: exit code %d, want %d: %s", args, code, want, &stderr)
	}
	return stderr.String()
}

func TestTheReportHasThePage(t *testing.T) {
	s := recorder(t)
	s.do(t, 1, "run", "wrong.yaml", "--report", "html=out.html")
	page, err := os.ReadFile(filepath.Join(s.Dir, "out.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<script>theme</script>", `<script type="module">the script of the page</script>`, "<style>style</style>", "RUN_STATUS_FAILED"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report does not have %q", want)
		}
	}
}

func TestAProgramWithoutAPageSaysSo(t *testing.T) {
	for name, page := range map[string]func() (fs.FS, error){
		"the stub alone": func() (fs.FS, error) { return fstest.MapFS{"stub.html": {}}, nil },
		"none":           nil,
		"a broken one":   func() (fs.FS, error) { return nil, errors.New("no page") },
	} {
		s := recorder(t)
		s.Page = page
		if text := s.do(t, 2, "run", "wrong.yaml", "--report", "junit=a.xml", "--report", "html=out.html"); !strings.Contains(text, "page") {
			t.Errorf("%s: it says %q", name, text)
		}
		if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 1 {
			t.Errorf("%s: %d files are left behind, %v", name, len(left)-1, err)
		}
	}
}

func TestTheSlimProgramHandsAReportOverBeforeAnythingIsWritten(t *testing.T) {
	s := recorder(t)
	s.Page = nil
	handed := 0
	s.Whole = func() error { handed++; return errors.New("handed over") }
	s.do(t, 2, "run", "wrong.yaml", "--report", "junit=a.xml", "--report", "html=out.html")
	if left, err := os.ReadDir(s.Dir); handed != 1 || err != nil || len(left) != 1 {
		t.Errorf("handed over %d times, with %d files, %v", handed, len(left)-1, err)
	}
	s.do(t, 1, "run", "wrong.yaml", "--record", "a.tmrun", "--report", "junit=a.xml")
	if handed != 1 {
		t.Error("a recording needs no page")
	}
}

func TestShowServesUntilItIsEnded(t *testing.T) {
	s := recorder(t)
	s.do(t, 1, "run", "wrong.yaml", "--record", "a.tmrun")
	for name, test := range map[string]struct {
		terminal bool
		args     []string
		opened   int
	}{
		"at a terminal":         {true, nil, 1},
		"not where none is":     {false, nil, 0},
		"not where it must not": {true, []string{"--no-open"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			signals := make(chan os.Signal, 1)
			out := listen()
			opened := make(chan string, 2)
			one := *s
			one.Args, one.Stdout, one.Signals = append([]string{"show", "a.tmrun"}, test.args...), out, signals
			one.Terminal = func() (int, bool) { return 100, test.terminal }
			one.Browser = func(address string) func() error {
				return func() error { opened <- address; return errors.New("none is there") }
			}
			code := make(chan int, 1)
			go func() { code <- Main(t.Context(), &one) }()
			line := make([]byte, 200)
			n, err := out.lines.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			address := regexp.MustCompile(`http://\S+`).FindString(string(line[:n]))
			if text := get(t, address+"recorded.js"); text != "the script of the page" {
				t.Errorf("the page has %q", text)
			}
			if text := get(t, address+"recording/runs.json"); !strings.Contains(text, `"flow":"wrong"`) {
				t.Errorf("the runs are %q", text)
			}
			signals <- os.Interrupt
			if got := <-code; got != 0 {
				t.Errorf("exit code %d", got)
			}
			close(opened)
			if got := len(opened); got != test.opened || got == 1 && <-opened != address {
				t.Errorf("a browser was opened %d times, want %d", got, test.opened)
			}
		})
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestARecordingIsNotServedToOthers(t *testing.T) {
	s := recorder(t)
	s.do(t, 1, "run", "wrong.yaml", "--record", "a.tmrun")
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "evil.example:80", "nonsense"} {
		if text := s.do(t, 2, "show", "a.tmrun", "--addr", address); !strings.Contains(text, "no address of this machine alone") {
			t.Errorf("%s: it says %q", address, text)
		}
	}
}

func TestSecretsThatWereGivenAreMaskedInWhatIsKept(t *testing.T) {
	value, masker := remembered(func(name string) (string, error) {
		if name == "NONE" {
			return "", errors.New("there is none")
		}
		return "hunter2-" + name, nil
	})
	if got, err := value("TOKEN"); got != "hunter2-TOKEN" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := value("NONE"); err == nil {
		t.Error("a secret that is not there is given")
	}
	if got := string(masker.Bytes([]byte("a hunter2-TOKEN and hunter2-OTHER"))); strings.Contains(got, "hunter2-TOKEN") || !strings.Contains(got, "hunter2-OTHER") {
		t.Errorf("got %q", got)
	}
}
