package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAStepCostsLittleBeyondItsProtocol holds what `make bench` prints of the
// protocols to ten times its goal, because the machines of CI are shared and the
// binary counts what it executes.
func TestAStepCostsLittleBeyondItsProtocol(t *testing.T) {
	cmd := exec.Command("go", "run", "./.ci/bench", "-bin", filepath.Join(binDir, "testmesh"), "-only", "protocols", "-rounds", "3", "-most", "10")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheControlPlaneIsNotTenTimesTooSlow holds what `make bench` prints of three nodes
// and of an agent to ten times its goal.
func TestTheControlPlaneIsNotTenTimesTooSlow(t *testing.T) {
	cmd := exec.Command("go", "run", "./.ci/bench", "-bin", filepath.Join(binDir, "testmesh"), "-only", "mesh", "-most", "10")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
