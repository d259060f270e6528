package sql

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxRecorded bounds the rows that an exchange shows, and maxRecordedBytes their
	// text: people read them, and the result has them all.
	maxRecorded      = 20
	maxRecordedBytes = 16 << 10
	// maxRecordedSQL bounds the text of a statement in an exchange.
	maxRecordedSQL = 16 << 10
)

// record puts a statement and its answer down for people who debug.
func record(call *plugin.Call, seat *seat, in queryIn, began time.Time, out *queryOut, fault *plugin.Error) {
	if !call.WantsExchange() {
		return
	}
	total := milliseconds(time.Since(began))
	x := plugin.Exchange{
		Protocol: string(seat.kind()), Started: began,
		Timings: map[string]float64{"total": total},
	}
	request := map[string]any{"database": seat.pool.server.name(), "statement": cut(in.Query, maxRecordedSQL)}
	switch {
	case in.Params.One != nil:
		request["params"] = *in.Params.One
	case in.Params.Other != nil:
		request["params"] = *in.Params.Other
	}
	if seat.transaction != nil {
		request["transaction"] = seat.transaction.name
	}
	x.Request = printed(request)
	answer := "no answer"
	switch {
	case out != nil:
		answer = out.brief()
		x.Response = printed(out.recorded())
	case fault != nil:
		answer = fault.Code
		x.Response = printed(map[string]any{"error": fault.Message})
	}
	x.Summary = brief(in.Query) + " → " + answer
	call.Exchange(x)
}

func (out *queryOut) brief() string {
	switch {
	case out.Error != nil:
		return "the expected error " + out.Error.Code
	case len(out.Columns) > 0:
		return count(out.RowCount, "row")
	case out.RowsAffected != nil:
		return fmt.Sprintf("%d affected", *out.RowsAffected)
	}
	return "done"
}

// recorded is an answer with the first of its rows.
func (out *queryOut) recorded() map[string]any {
	m := map[string]any{}
	if out.Error != nil {
		m["error"] = out.Error.Code + ": " + out.Error.Message
	}
	if len(out.Columns) > 0 {
		m["row_count"], m["columns"] = out.RowCount, out.Columns
		rows, size := []any{}, 0
		for _, row := range out.Rows {
			size += len(printed(row))
			if len(rows) == maxRecorded || size > maxRecordedBytes {
				break
			}
			rows = append(rows, row)
		}
		m["rows"] = rows
	}
	if out.RowsAffected != nil {
		m["rows_affected"] = *out.RowsAffected
	}
	return m
}

func printed(v any) json.RawMessage {
	text, err := jsonText(v)
	if err != nil {
		return nil
	}
	return json.RawMessage(text)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
