//go:build !fault

package fault

// Built says whether this program was built with its faults.
const Built = false
