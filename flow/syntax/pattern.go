package syntax

import (
	"fmt"
	"strings"
)

// fitsPattern tells whether a text fits one of the patterns of names. They are
// read by hand: compiling them would be a quarter of what the start of a run
// allocates.
func fitsPattern(pattern, s string) bool {
	switch pattern {
	case idPattern:
		return len(s) <= 64 && isWord(s, lower, lower+digits+"_-")
	case oldIDPattern:
		return len(s) <= 64 && isWord(s, "", lower+digits+"_-")
	case suitePattern:
		return isWord(s, "", lower+digits+"-")
	case tagPattern:
		return len(s) >= 2 && len(s) <= 50 && isWord(s, "", lower+digits+"_-")
	case actionPattern:
		for part := range strings.SplitSeq(s, ".") {
			if !isWord(part, lower, lower+digits+"_-") {
				return false
			}
		}
		return true
	case namePattern:
		return isWord(s, lower+upper+"_", lower+upper+digits+"_")
	case outputPattern:
		return isWord(s, lower+upper+"_", lower+upper+digits+"_-")
	}
	panic(fmt.Sprintf("syntax: pattern %s is not known", pattern))
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// isWord tells whether s is not empty, begins with one of first, where there
// are some, and has only letters.
func isWord(s, first, letters string) bool {
	if s == "" || first != "" && strings.IndexByte(first, s[0]) < 0 {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(letters, s[i]) < 0 {
			return false
		}
	}
	return true
}
