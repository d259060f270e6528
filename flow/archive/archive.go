// Package archive writes and reads run archives (`.tmrun`): all of some runs in one
// file, as a person keeps or sends it: what was run, every event, the files that were
// stored, and the flows. It never masks (what comes here is masked), never runs
// anything, and never writes what an archive names into a folder.
package archive

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

const (
	// format and version stand in every manifest. A reader refuses a version that is
	// newer than its own: what it does not know could change what the rest means.
	format  = "testmesh run archive"
	version = 1

	// manifestName is written last: an archive that was cut off has none.
	manifestName = "manifest.json"
	sourceDir    = "source/"
	filesDir     = "files/"
	runsDir      = "runs/"
	recordName   = "run.json"
)

// The bounds of an archive. A reader refuses what is beyond them before it unpacks it,
// a writer never gets there.
const (
	// maxRuns is what one command may have, and the page lists.
	maxRuns = 100_000
	// maxEntries bounds the list of what is in the archive, which is in memory.
	maxEntries = 1_000_000
	// partSize is how much of a run's events becomes an entry: what is held in memory
	// of a run that goes on. maxPart is one event more.
	partSize = 1 << 20
	maxPart  = 64 << 20
	// maxManifest and maxRecord bound what is read as one piece.
	maxManifest = 128 << 20
	maxRecord   = 4 << 20
	// maxSources bounds the sources of all flows together, which wait for the end.
	maxSources = 64 << 20
	// maxFile bounds a stored file, maxUnpacked the whole of an archive.
	maxFile     = 1 << 30
	maxHeld     = 16 << 20 // of a file, with its event
	maxUnpacked = 64 << 30
	// maxRatio is how much larger than its file an archive may be: DEFLATE makes at
	// most 1,032 bytes of one, and events hardly more than 50.
	maxRatio = 1100
)

// ids are what runs are called in the names of entries.
const ids = `[0-9A-Za-z][0-9A-Za-z_-]{0,99}`

// names fit what an archive may hold. A name decides only what an entry is: nothing is
// ever written to a place that an archive names.
func names() *regexp.Regexp {
	return regexp.MustCompile(`^(?:manifest\.json|runs/` + ids + `/(?:run\.json|[1-9][0-9]{0,5}/[0-9]{6}\.jsonl)|files/[0-9a-f]{64}|source/.+)$`)
}

// fits says whether an entry may be called so.
func fits(fit *regexp.Regexp, name string) bool {
	if source, ok := strings.CutPrefix(name, sourceDir); ok && !fs.ValidPath(source) {
		return false
	}
	return fit.MatchString(name)
}

func recordPath(run string) string { return runsDir + run + "/" + recordName }

func partPath(run string, attempt, part int) string {
	return fmt.Sprintf("%s%s/%d/%06d.jsonl", runsDir, run, attempt, part)
}
