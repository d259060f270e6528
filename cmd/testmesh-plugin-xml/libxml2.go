//go:build libxml2 && cgo

package main

/*
#cgo pkg-config: libxml-2.0
#include <stdlib.h>
#include "libxml2.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"strings"
	"unsafe"
)

// maxProblems bounds what is kept of one judgement; the rest is counted.
const maxProblems = 100

// problem is one thing that libxml2 found.
type problem struct {
	File    string // of the schema; empty for the document
	Line    int    // from 1; 0: unknown
	Column  int    // from 1; 0: unknown
	Message string
	limit   bool // a bound of libxml2, which says nothing about the document
}

// found is what one call of libxml2 reported.
type found struct {
	problems []problem
	count    int // with those that were not kept
}

// first is the first problem that is a bound of libxml2.
func (f found) limit() (problem, bool) {
	for _, p := range f.problems {
		if p.limit {
			return p, true
		}
	}
	return problem{}, false
}

// file is one file of a schema, by its name below the project.
type file struct {
	name string
	data []byte
}

// library is libxml2. It reads no file and opens no connection: all that it sees
// is handed to it.
type library struct{}

// start makes libxml2 ready; doing it again does nothing.
func start() library {
	C.tm_start()
	return library{}
}

var errNoMemory = errors.New("libxml2 has no memory left")

// schema is a compiled schema. It is safe for concurrent use until it is freed.
type schema struct{ ptr C.xmlSchemaPtr }

// compile compiles the first of files, which may include the others. A schema
// that is wrong gives no schema, and what was found.
func (library) compile(files []file) (*schema, found, error) {
	set := C.tm_files_new(C.int(len(files)))
	if set == nil {
		return nil, found{}, errNoMemory
	}
	defer C.tm_files_free(set)
	for i, f := range files {
		name := C.CString(schemaURL(f.name))
		defer C.free(unsafe.Pointer(name))
		data := C.CBytes(f.data)
		defer C.free(data)
		C.tm_files_set(set, C.int(i), name, (*C.char)(data), C.int(len(f.data)))
	}
	report := C.tm_report_new(maxProblems)
	if report == nil {
		return nil, found{}, errNoMemory
	}
	defer C.tm_report_free(report)
	ptr := C.tm_compile(set, report)
	out := take(report)
	if ptr == nil {
		return nil, out, nil
	}
	return &schema{ptr}, out, nil
}

// free releases the schema; nothing uses it any more.
func (s *schema) free() { C.xmlSchemaFree(s.ptr) }

// validate judges a document in UTF-8. Nothing found: it is valid.
func (s *schema) validate(document []byte) (found, error) {
	report := C.tm_report_new(maxProblems)
	if report == nil {
		return found{}, errNoMemory
	}
	defer C.tm_report_free(report)
	data := C.CBytes(document)
	defer C.free(data)
	code := C.tm_validate(s.ptr, (*C.char)(data), C.int(len(document)), report)
	runtime.KeepAlive(s)
	out := take(report)
	switch {
	case code < 0:
		return found{}, errNoMemory
	case code > 0 && out.count == 0:
		return found{}, errors.New("libxml2 finds the document invalid and does not say why")
	}
	return out, nil
}

func take(report *C.tm_report) found {
	out := found{count: int(report.count)}
	for _, p := range unsafe.Slice(report.problems, report.kept) {
		message := strings.ReplaceAll(strings.ToValidUTF8(C.GoString(&p.message[0]), "\uFFFD"), schemaURL(""), "")
		out.problems = append(out.problems, problem{
			File: schemaName(C.GoString(&p.file[0])), Line: int(p.line), Column: int(p.column), limit: p.limit != 0,
			Message: strings.TrimSuffix(strings.Join(strings.Fields(message), " "), "."),
		})
	}
	return out
}
