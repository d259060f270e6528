package expr

import "github.com/expr-lang/expr/ast"

func (b *builder) fake(n *ast.MemberNode, name string) (node, bool, error) { return nil, false, nil }
