// Package mlog stands in for monis.app/mlog: the names that the Secrets Store CSI driver calls, over klog.
package mlog

import (
	"context"
	"os"

	"k8s.io/klog/v2"
)

// LogFormat is the form of a log line. The stand-in always writes klog's text.
type LogFormat string

// The formats that the driver's flag --log-format-json chooses from.
const (
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// Setup returns the function that flushes the log when the program ends.
func Setup() func() { return klog.Flush }

// ValidateAndSetKlogLevelAndFormatGlobally does nothing: the level is klog's own flag -v.
func ValidateAndSetKlogLevelAndFormatGlobally(context.Context, klog.Level, LogFormat) error {
	return nil
}

// Error logs an error.
func Error(msg string, err error, keysAndValues ...any) { klog.ErrorS(err, msg, keysAndValues...) }

// Fatal logs an error and ends the program.
func Fatal(err error) {
	klog.ErrorS(err, "fatal")
	klog.Flush()
	os.Exit(1)
}
