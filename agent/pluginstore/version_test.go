package pluginstore

import (
	"strings"
	"testing"
)

func TestVersionsThatARangeTakes(t *testing.T) {
	tests := []struct {
		wanted, version string
		fits            bool
	}{
		{"tcp", "1.2.3", true},
		{"tcp", "1.2.3-rc.1", false},
		{"tcp@latest", "9.0.0", true},
		{"tcp@1.2.3", "1.2.3", true},
		{"tcp@1.2.3", "1.2.4", false},
		{"tcp@1.2.3-rc.1", "1.2.3-rc.1", true},
		{"tcp@=1.2.3", "1.2.3", true},
		{"tcp@^1.2", "1.2.0", true},
		{"tcp@^1.2", "1.9.9", true},
		{"tcp@^1.2", "2.0.0", false},
		{"tcp@^1.2", "2.0.0-rc.1", false},
		{"tcp@^1.2", "1.1.9", false},
		{"tcp@^0.2", "0.2.9", true},
		{"tcp@^0.2", "0.3.0", false},
		{"tcp@^0.0.3", "0.0.3", true},
		{"tcp@^0.0.3", "0.0.4", false},
		{"tcp@^0.0", "0.0.9", true},
		{"tcp@^0", "0.9.0", true},
		{"tcp@^0", "1.0.0", false},
		{"tcp@~1.2", "1.2.9", true},
		{"tcp@~1.2", "1.3.0", false},
		{"tcp@~1", "1.9.0", true},
		{"tcp@~1", "2.0.0", false},
		{"tcp@>=1.2", "7.0.0", true},
		{"tcp@>=1.2", "1.1.0", false},
		{"tcp@^1.2.0-rc.1", "1.2.0-rc.2", true},
		{"tcp@^1.2.0-rc.1", "1.3.0-rc.1", false},
		{"tcp@^1.2.0-rc.2", "1.2.0-rc.1", false},
	}
	for _, tt := range tests {
		w, err := ParseWanted(tt.wanted)
		if err != nil {
			t.Errorf("%s: %v", tt.wanted, err)
			continue
		}
		if got := w.Fits(tt.version); got != tt.fits {
			t.Errorf("%s takes %s: got %v, want %v", tt.wanted, tt.version, got, tt.fits)
		}
		if w.String() != tt.wanted {
			t.Errorf("got %s, want %s", w, tt.wanted)
		}
	}
}

func TestRangesThatSayNothing(t *testing.T) {
	for _, text := range []string{"tcp@", "tcp@1", "tcp@1.2", "tcp@v1.2.3", "tcp@1.x", "tcp@^", "tcp@^1.2.3.4", "tcp@^01", "tcp@^1.2-rc", "tcp@>1.2", "tcp@^-1", "tcp@1.2.3 || 2"} {
		if _, err := ParseWanted(text); err == nil || !strings.Contains(err.Error(), "tcp@^1.2") {
			t.Errorf("%s: got %v, want what can be written", text, err)
		}
	}
	for _, text := range []string{"", "@1.0.0", "Tcp", "tcp/../x", "../tcp", strings.Repeat("a", 41)} {
		if _, err := ParseWanted(text); err == nil || !strings.Contains(err.Error(), "name of a plugin") {
			t.Errorf("%q: got %v, want that it is no name", text, err)
		}
	}
}

func TestVersionsAreThoseOfSemver(t *testing.T) {
	for text, want := range map[string]bool{
		"1.2.3": true, "0.0.0": true, "1.2.3-rc.1": true, "1.2.3+build": true, "1.2.3-a.b+c": true, "1.2.3-x-y.z": true,
		"1.2": false, "1": false, "v1.2.3": false, "1.2.3.4": false, "01.2.3": false, "1.2.3-": false, "": false,
		"1.2.3-../x": false, "1.2.3/x": false, strings.Repeat("1", 60) + ".0.0": false,
	} {
		if got := ValidVersion(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
