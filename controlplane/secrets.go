package controlplane

import (
	"context"
	"errors"

	"github.com/testmesh/testmesh/controlplane/auth"
	"github.com/testmesh/testmesh/controlplane/store"
)

// secretsOf gives the values that the control plane gives to a run's agent, so that
// its stream is looked through for them: what the agent's masking lets through is
// masked here.
func (n *Node) secretsOf(seal *auth.Seal) func(ctx context.Context, run string) (map[string]string, error) {
	return func(ctx context.Context, id string) (map[string]string, error) {
		r, err := n.store.Run(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil // it was given none either
		}
		if err != nil {
			return nil, err
		}
		workspace, environment := r.GetWorkspace(), r.GetSpec().GetEnvironment()
		if environment == "" {
			return nil, nil
		}
		sealed, err := n.store.SealedSecrets(ctx, workspace, environment)
		if err != nil {
			return nil, err
		}
		values := make(map[string]string, len(sealed))
		for name, one := range sealed {
			value, err := seal.Open(one, "secret", workspace, environment, name)
			if err != nil {
				return nil, err
			}
			values[name] = string(value)
		}
		return values, nil
	}
}
