package sql

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// run runs a step that wants the database to refuse it. Where it does not the step
// has failed: the system answered, and its answer is wrong.
func (want *expectedError) run(ctx context.Context, call *plugin.Call, seat *seat, in queryIn, statements []statement) (queryOut, error) {
	began := time.Now()
	// PostgreSQL ends a transaction with the first error in it; here it was wanted.
	point := seat.transaction != nil && seat.kind() == postgres
	if point {
		if err := exec(ctx, seat, postgres, "SAVEPOINT testmesh_expected"); err != nil {
			return queryOut{}, seat.failed(ctx, statement{}, err)
		}
	}
	stopped, err := seat.runAll(ctx, statements, &gathered{limits: limits{MaxRows: in.MaxRows, MaxBytes: in.MaxBytes, Truncate: true}})
	r := refusal(err)
	if err != nil && (r == nil || ctx.Err() != nil) {
		return queryOut{}, seat.failed(ctx, stopped, err)
	}
	if point {
		end := "RELEASE SAVEPOINT testmesh_expected"
		if r != nil {
			end = "ROLLBACK TO SAVEPOINT testmesh_expected"
		}
		if err := exec(ctx, seat, postgres, end); err != nil {
			return queryOut{}, seat.failed(ctx, statement{}, err)
		}
	}
	out := queryOut{Error: r}
	switch {
	case r == nil:
		fault := plugin.Failf("%s took the statement, and %s was expected", seat.kind(), want)
		record(call, seat, in, began, nil, fault)
		return queryOut{}, fault
	case !want.is(r):
		fault := plugin.Failf("%s refused the statement with another error than %s: %s (%s)", seat.kind(), want, r.Message, r.codes()).
			WithDetails(excerpt(stopped.whole, r.where)...)
		record(call, seat, in, began, nil, fault)
		return queryOut{}, fault
	}
	record(call, seat, in, began, &out, nil)
	return out, nil
}

// is tells whether an error is the expected one.
func (want *expectedError) is(r *refused) bool {
	return (want.Code == "" || strings.EqualFold(want.Code, r.Code) || strings.EqualFold(want.Code, r.State)) &&
		(want.Kind == "" || want.Kind == r.Kind) &&
		strings.Contains(r.Message+"\n"+r.Detail, want.Message)
}

// String is the error in a sentence.
func (want *expectedError) String() string {
	var parts []string
	if want.Code != "" {
		parts = append(parts, want.Code)
	}
	if want.Kind != "" {
		parts = append(parts, want.Kind)
	}
	if want.Message != "" {
		parts = append(parts, fmt.Sprintf("%q", want.Message))
	}
	if len(parts) == 0 {
		return "an error"
	}
	return "the error " + strings.Join(parts, ", ")
}
