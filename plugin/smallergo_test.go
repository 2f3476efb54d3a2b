package plugin

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingThatYaegiReadsDifferently keeps out what compiles everywhere and means something else, or panics only when it
// is reached, under Yaegi 0.16.1. Each was found by running the suite or the comparison in test/yaegi:
//
//   - of "case a, b:" it looks at a only, unless the values are constants. In the checks of a token that is an open door;
//   - "return x, len(y)" writes the length into the place of x;
//   - the cases of a select statement are shared by all goroutines that execute it, so that one waits for the channels of
//     another. Contexts do the same, compiled;
//   - what a function has deferred runs with the function's frame locked, and so waits for ever if it calls a function that
//     was made in the same frame;
//   - package variables are set in the order of the files, whatever they depend on, so one that calls a function of ours may
//     find other variables empty;
//   - "a, b = nil, nil" panics, and "p.a, p.b = x, f(y)" may assign nothing, so fields are assigned one by one.
func TestNothingThatYaegiReadsDifferently(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, dir := range []string{".", "../routes"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "source.go") {
				continue
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectStmt:
					t.Errorf("%s: a select statement; wait for a context", set.Position(n.Pos()))
				case *ast.FuncDecl:
					checkDeferred(t, set, n)
				case *ast.GenDecl:
					checkVariable(t, set, n)
				case *ast.SwitchStmt:
					seen++
					checkSwitch(t, set, n)
				case *ast.ReturnStmt:
					checkReturn(t, set, n)
				case *ast.AssignStmt:
					checkAssign(t, set, n)
				}
				return true
			})
		}
	}
	if seen < 10 {
		t.Errorf("found %d switches: the test looks in the wrong place", seen)
	}
}

func checkSwitch(t *testing.T, set *token.FileSet, s *ast.SwitchStmt) {
	t.Helper()
	for _, stmt := range s.Body.List {
		clause, _ := stmt.(*ast.CaseClause)
		if clause == nil || len(clause.List) < 2 {
			continue
		}
		if s.Tag == nil {
			t.Errorf("%s: a case with several conditions; join them with ||", set.Position(clause.Pos()))
		}
		for _, value := range clause.List {
			switch value.(type) {
			case *ast.BasicLit, *ast.Ident, *ast.SelectorExpr:
			default:
				t.Errorf("%s: a case with several values that are not constants; compare them with ||", set.Position(value.Pos()))
			}
		}
	}
}

// checkVariable looks at declarations outside functions; those inside are assignments or have no value here.
func checkVariable(t *testing.T, set *token.FileSet, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		v, _ := spec.(*ast.ValueSpec)
		if v == nil {
			continue
		}
		for _, value := range v.Values {
			call, _ := value.(*ast.CallExpr)
			if call == nil {
				continue
			}
			if name, ok := call.Fun.(*ast.Ident); ok && name.Obj == nil && name.Name != "make" && name.Name != "new" || ok && name.Obj != nil && name.Obj.Kind == ast.Fun {
				t.Errorf("%s: a variable that calls %s; fill it in a constructor", set.Position(call.Pos()), name.Name)
			}
		}
	}
}

// checkDeferred refuses functions that defer something and also keep a function literal for later.
func checkDeferred(t *testing.T, set *token.FileSet, f *ast.FuncDecl) {
	t.Helper()
	if f.Body == nil {
		return
	}
	defers := false
	kept := []*ast.FuncLit{}
	keep := func(values ...ast.Expr) {
		for _, v := range values {
			if lit, ok := v.(*ast.FuncLit); ok {
				kept = append(kept, lit)
			}
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // has a frame of its own
		case *ast.DeferStmt:
			defers = true
		case *ast.KeyValueExpr:
			keep(n.Value)
		case *ast.AssignStmt:
			keep(n.Rhs...)
		}
		return true
	})
	for _, lit := range kept {
		if defers {
			t.Errorf("%s: a function kept for later in one that defers; make it in a function of its own", set.Position(lit.Pos()))
		}
	}
}

func checkReturn(t *testing.T, set *token.FileSet, s *ast.ReturnStmt) {
	t.Helper()
	if len(s.Results) < 2 {
		return
	}
	for _, r := range s.Results {
		call, ok := r.(*ast.CallExpr)
		if !ok {
			continue
		}
		if name, ok := call.Fun.(*ast.Ident); ok && (name.Name == "len" || name.Name == "cap" || name.Name == "append" || name.Name == "copy") {
			t.Errorf("%s: %s among several results; give it a variable first", set.Position(call.Pos()), name.Name)
		}
	}
}

func checkAssign(t *testing.T, set *token.FileSet, s *ast.AssignStmt) {
	t.Helper()
	if s.Tok != token.ASSIGN || len(s.Lhs) < 2 || len(s.Rhs) < 2 {
		return
	}
	for _, l := range s.Lhs {
		if _, ok := l.(*ast.SelectorExpr); ok {
			t.Errorf("%s: several fields in one assignment; assign them one by one", set.Position(s.Pos()))
		}
	}
	for _, r := range s.Rhs {
		if name, ok := r.(*ast.Ident); ok && name.Name == "nil" {
			t.Errorf("%s: nil in an assignment to several variables; assign them one by one", set.Position(s.Pos()))
		}
	}
}
