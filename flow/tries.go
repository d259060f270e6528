package flow

import (
	"fmt"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

// tries compiles how often the step is tried.
func (c *compiler) tries(out *Step, n *node, own *scope) {
	s := n.step
	if s.Retry != nil {
		out.Retry = c.retry(s.Retry)
		c.retryNames(out.Retry, own.named("retry_on"))
	}
	if e := s.Eventually; e != nil {
		out.Eventually = &Eventually{Within: e.Within.Value, Every: e.Every.Or(defaultEvery)}
	}
	if out.Spec == nil {
		return
	}
	retry := out.Retry
	if retry == nil && n.list.phase == phaseSteps {
		retry = c.p.Config.Retry
	}
	if out.Eventually == nil && (retry == nil || retry.MaxAttempts < 2) {
		return
	}
	effect := out.Effect
	if effect == testmeshv1.Effect_EFFECT_UNSPECIFIED {
		known, _ := out.Spec.EffectOf(knownPart(n.step.Config))
		effect = known
	}
	if effect == testmeshv1.Effect_EFFECT_ONCE {
		pos, word := s.Action.Pos, "retry"
		switch {
		case s.Eventually != nil:
			pos, word = s.Eventually.Pos, "eventually"
		case s.Retry != nil:
			pos = s.Retry.Pos
		}
		c.add(hinted(note(source.CodeType, pos, word, fmt.Sprintf("%s repeats step %s, whose effect is once: each try may change the system again", word, out.ID)),
			"send an idempotency key, or say `effect: idempotent` where repeating does no harm"))
	}
}

// knownPart is what of a config is known before the run.
func knownPart(n *source.Node) any {
	if n == nil || n.Kind != source.Map {
		return map[string]any{}
	}
	out := map[string]any{}
	for _, e := range n.Entries {
		switch {
		case e.Value.Kind == source.Map:
			out[e.Key.Text] = knownPart(e.Value)
		default:
			if v, ok := literalValue(e.Value); ok {
				out[e.Key.Text] = v
			}
		}
	}
	return out
}

func (c *compiler) retry(r *syntax.Retry) *Retry {
	out := &Retry{
		MaxAttempts: r.MaxAttempts.Or(1), Delay: r.Delay.Or(defaultRetryDelay), Backoff: r.Backoff.Or("constant"),
		Jitter: r.Jitter.Or(0), MaxDelay: r.MaxDelay.Or(defaultMaxDelay),
	}
	list := func(nodes []*source.Node) []*expr.Expr {
		var out []*expr.Expr
		for _, n := range nodes {
			e, p := expr.CompileNode(n, c.exprOptions())
			if p != nil {
				c.add(*p)
				continue
			}
			if kind := e.StaticKind(); kind != "" && kind != "boolean" {
				c.add(problem(source.CodeType, n.Pos, n.Text, fmt.Sprintf("a condition of retry is %s, not true or false", article(kind))))
			}
			out = append(out, e)
		}
		return out
	}
	out.RetryOn, out.RetryOnNot = list(r.RetryOn), list(r.RetryOnNot)
	return out
}

// retryNames resolves the names of retry conditions, which also see what went
// wrong with the try.
func (c *compiler) retryNames(r *Retry, own *scope) {
	at := *own
	at.extra = append([]string{"timeout", "connection_error"}, own.extra...)
	for _, list := range [...][]*expr.Expr{r.RetryOn, r.RetryOnNot} {
		for _, e := range list {
			c.resolve(e.Refs(), &at)
		}
	}
}
