package archive

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// Archive is one that was opened, and found whole.
type Archive struct {
	// Program is the version of the program that wrote it.
	Program string
	// Started and Finished are the events of its batch; Started may be nil.
	Started, Finished *event.Event
	Runs              []Recorded
	// Missing are the digests of files that nobody had when it was written.
	Missing []string
	// Sources are the files of its flows.
	Sources []string

	entries map[string]*zip.File
}

// Recorded is a run of an archive.
type Recorded struct {
	ID string
	// Record is the run as the API has it, as JSON.
	Record []byte
	// Attempts are the numbers of those with events, in their order.
	Attempts []int

	parts map[int]int
}

// errDamaged is what every archive is that was changed after it was written.
var errDamaged = errors.New("it is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// Open reads the list of an archive and checks all of it: sums, names, sizes, and that
// nothing is missing. The error is a sentence for who has the file.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, errors.New("it is no run archive, or its end is missing: copy it again")
	}
	a := &Archive{entries: map[string]*zip.File{}}
	if err := a.list(z, size); err != nil {
		return nil, err
	}
	text, err := a.read(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	if err := a.manifest(text); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	return a, nil
}

// list takes the names and sizes that the archive says it has, and unpacks nothing.
func (a *Archive) list(z *zip.Reader, size int64) error {
	if len(z.File) > maxEntries {
		return fmt.Errorf("it has %d entries, and at most %d are read", len(z.File), maxEntries)
	}
	fit := names()
	var unpacked uint64
	for _, f := range z.File {
		switch {
		case !fits(fit, f.Name):
			return fmt.Errorf("it has an entry %.100q, which no run archive has", f.Name)
		case a.entries[f.Name] != nil:
			return damaged("%s is in it twice", f.Name)
		case f.Flags&1 != 0 || f.Method != zip.Deflate && f.Method != zip.Store:
			return fmt.Errorf("%s is packed in a way that no run archive is", f.Name)
		case f.UncompressedSize64 > bound(f.Name):
			return fmt.Errorf("%s would be %d bytes, more than a run archive has", f.Name, f.UncompressedSize64)
		}
		if unpacked += f.UncompressedSize64; unpacked > maxUnpacked || unpacked > uint64(size)*maxRatio {
			return fmt.Errorf("it would be over %d bytes when it is unpacked: that is no run archive", unpacked)
		}
		a.entries[f.Name] = f
	}
	if a.entries[manifestName] == nil {
		return errors.New("it has no manifest: it is no run archive, or was not written to its end")
	}
	return nil
}

func bound(name string) uint64 {
	switch {
	case name == manifestName:
		return maxManifest
	case strings.HasPrefix(name, filesDir):
		return maxFile
	case strings.HasPrefix(name, sourceDir):
		return maxSources
	case strings.HasSuffix(name, recordName):
		return maxRecord
	}
	return maxPart
}

// manifest reads what the archive says of itself.
func (a *Archive) manifest(text []byte) error {
	v, err := value.Decode(text)
	if err != nil {
		return damaged("its manifest is no JSON")
	}
	m, _ := v.(map[string]any)
	if m["format"] != format {
		return errors.New("it is a ZIP file, but no run archive")
	}
	if v, _ := value.Int(m["version"]); v > version {
		return fmt.Errorf("it is of version %d, and this program reads up to version %d: a newer testmesh (it was written by %.50q) opens it", v, version, m["program"])
	} else if v < 1 {
		return damaged("its manifest has no version")
	}
	a.Program, _ = m["program"].(string)
	if a.Finished, err = batchEvent(m["finished"]); err != nil || a.Finished.BatchFinished == nil {
		return damaged("its manifest does not say how it ended")
	}
	if m["started"] != nil {
		if a.Started, err = batchEvent(m["started"]); err != nil || a.Started.BatchStarted == nil {
			return damaged("its manifest does not say how it began")
		}
	}
	a.Missing, a.Sources = texts(m["missing_files"]), texts(m["sources"])
	runs, _ := m["runs"].([]any)
	if len(runs) > maxRuns {
		return fmt.Errorf("it has %d runs, and at most %d are read", len(runs), maxRuns)
	}
	for _, one := range runs {
		r, err := recorded(one)
		if err != nil {
			return err
		}
		a.Runs = append(a.Runs, r)
	}
	return nil
}

func batchEvent(v any) (*event.Event, error) { return event.Decode(value.Append(nil, v)) }

func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, one := range list {
		if s, ok := one.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func recorded(v any) (Recorded, error) {
	m, _ := v.(map[string]any)
	r := Recorded{parts: map[int]int{}}
	r.ID, _ = m["id"].(string)
	attempts, _ := m["attempts"].([]any)
	for _, one := range attempts {
		a, _ := one.(map[string]any)
		number, _ := value.Int(a["number"])
		parts, ok := value.Int(a["parts"])
		if !ok || number < 1 || parts < 0 || parts > maxEntries {
			return r, damaged("run %.40q has an attempt that is none", r.ID)
		}
		r.Attempts = append(r.Attempts, int(number))
		r.parts[int(number)] = int(parts)
	}
	slices.Sort(r.Attempts)
	return r, nil
}

// check reads everything once, a piece at a time: an archive that is opened is whole.
func (a *Archive) check() error {
	for i := range a.Runs {
		r := &a.Runs[i]
		var err error
		if r.Record, err = a.read(recordPath(r.ID), maxRecord); err != nil {
			return err
		}
		record, err := value.DecodeLenient(r.Record)
		if m, _ := record.(map[string]any); err != nil || m["id"] != r.ID {
			return damaged("the record of run %.40q is none", r.ID)
		}
		for number, parts := range r.parts {
			for part := 1; part <= parts; part++ {
				if a.entries[partPath(r.ID, number, part)] == nil {
					return damaged("part %d of run %s is missing", part, r.ID)
				}
			}
		}
	}
	for name, f := range a.entries {
		if err := check(name, f); err != nil {
			return err
		}
	}
	return nil
}

func check(name string, f *zip.File) error {
	in, err := f.Open()
	if err != nil {
		return damaged("%s cannot be unpacked", name)
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(in, int64(bound(name))+1))
	if err != nil || uint64(n) != f.UncompressedSize64 {
		return damaged("%s is not what was written", name)
	}
	if digest, ok := strings.CutPrefix(name, filesDir); ok && hex.EncodeToString(sum.Sum(nil)) != digest {
		return damaged("%s has another content than its name says", name)
	}
	return nil
}

// read gives an entry whole.
func (a *Archive) read(name string, most int64) ([]byte, error) {
	f := a.entries[name]
	if f == nil {
		return nil, damaged("%s is missing", name)
	}
	in, err := f.Open()
	if err != nil {
		return nil, damaged("%s cannot be unpacked", name)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, damaged("%s is not what was written", name)
	}
	return data, nil
}

// Source is the file of a flow; ok is false where it is not there.
func (a *Archive) Source(file string) (text []byte, ok bool) {
	if a.entries[sourceDir+file] == nil {
		return nil, false
	}
	text, err := a.read(sourceDir+file, maxSources)
	return text, err == nil
}

// File is a stored file by its digest; ok is false where it is not there. Who opens it
// closes it.
func (a *Archive) File(sha256 string) (in io.ReadCloser, size int64, ok bool) {
	f := a.entries[filesDir+sha256]
	if f == nil {
		return nil, 0, false
	}
	in, err := f.Open()
	return in, int64(f.UncompressedSize64), err == nil
}

// Stream writes the events of an attempt, as they came.
func (a *Archive) Stream(out io.Writer, run string, attempt int) error {
	i := slices.IndexFunc(a.Runs, func(r Recorded) bool { return r.ID == run })
	if i < 0 {
		return fmt.Errorf("there is no run %.40q", run)
	}
	for part := range a.Runs[i].parts[attempt] {
		data, err := a.read(partPath(run, attempt, part+1), maxPart)
		if err != nil {
			return err
		}
		if _, err := out.Write(data); err != nil {
			return fmt.Errorf("write the events of run %s: %w", run, err)
		}
	}
	return nil
}

// Events gives all there was, in the order of the archive: the batch, and of each run
// its newest attempt, with the stored files that are not too large to be held.
func (a *Archive) Events(emit func(*event.Event) error) error {
	if a.Started != nil {
		if err := emit(a.Started); err != nil {
			return err
		}
	}
	for _, r := range a.Runs {
		if len(r.Attempts) == 0 {
			continue
		}
		newest := r.Attempts[len(r.Attempts)-1]
		for part := range r.parts[newest] {
			data, err := a.read(partPath(r.ID, newest, part+1), maxPart)
			if err != nil {
				return err
			}
			for line := range bytes.Lines(data) {
				e, err := event.Decode(line)
				if err != nil {
					return damaged("run %s has a line that is no event", r.ID)
				}
				if e.Artifact != nil {
					e.Artifact.Data = a.held(e.Artifact.SHA256)
				}
				if err := emit(e); err != nil {
					return err
				}
			}
		}
	}
	return emit(a.Finished)
}

// held is the content of a stored file that reports may hold in memory; nil: it is not
// there, or too large.
func (a *Archive) held(sha256 string) []byte {
	name := filesDir + sha256
	f := a.entries[name]
	if f == nil || f.UncompressedSize64 > maxHeld {
		return nil
	}
	data, err := a.read(name, maxHeld)
	if err != nil {
		return nil
	}
	return data
}
