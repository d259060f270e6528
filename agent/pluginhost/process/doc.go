// Package process runs plugins as processes of their own.
package process
