package source

// LoadLong is Load for a file that a program writes and keeps, such as a lock
// file: up to MaxData.
func LoadLong(path string, data []byte) (docs []*Node, problems Problems) {
	return load(path, data, MaxData)
}
