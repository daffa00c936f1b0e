//go:build race

package promwrite

// The race detector ends the process by C's exit, which runs the exit hook of the core.
const deliveredWithoutShutdown = 1
