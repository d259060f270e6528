package expr

// LookupBuiltin gives the value of a built-in name.
func LookupBuiltin(name string, env *Env) (v any, ok bool) { return nil, false }
