//go:build cgo

package promwrite

import (
	"fmt"
	"strconv"
)

// Code is the kind of an [Error]; the numbers are those of promwrite.h and never change.
type Code int32

// The codes, in the order of promwrite.h.
const (
	CodeInvalid          Code = -1
	CodeUnknownOption    Code = -2
	CodeInvalidTimestamp Code = -3
	CodeExposition       Code = -4
	CodeTooLarge         Code = -5
	CodeQueueFull        Code = -6
	CodeClosed           Code = -7
	CodeSenderFailed     Code = -8
	CodeInternal         Code = -11
)

// Sentinels for [errors.Is]: an [*Error] is the one of its code.
var (
	// ErrInvalid: an argument breaks a rule; nothing was accepted.
	ErrInvalid error = &Error{Code: CodeInvalid, Message: "invalid argument"}
	// ErrUnknownOption: an option that core/OPTIONS.md does not list.
	ErrUnknownOption error = &Error{Code: CodeUnknownOption, Message: "unknown option"}
	// ErrInvalidTimestamp: a time before 2001 or more than ten minutes ahead.
	ErrInvalidTimestamp error = &Error{Code: CodeInvalidTimestamp, Message: "invalid timestamp"}
	// ErrExposition: a text page breaks its format; nothing of it was accepted.
	ErrExposition error = &Error{Code: CodeExposition, Message: "invalid exposition"}
	// ErrTooLarge: one item is larger than any request may be.
	ErrTooLarge error = &Error{Code: CodeTooLarge, Message: "too large"}
	// ErrQueueFull: the queue is full and queue_config.overflow is error, or block waited in vain.
	ErrQueueFull error = &Error{Code: CodeQueueFull, Message: "queue full", retryable: true}
	// ErrClosed: use after Close or Shutdown.
	ErrClosed error = &Error{Code: CodeClosed, Message: "closed"}
	// ErrSenderFailed: the sending thread failed for good; a bug in promwrite.
	ErrSenderFailed error = &Error{Code: CodeSenderFailed, Message: "sender failed"}
	// ErrInternal: a panic was caught inside the core; a bug in promwrite.
	ErrInternal error = &Error{Code: CodeInternal, Message: "internal error"}
)

// Error is why a call accepted nothing. It never holds a secret.
type Error struct {
	// Code is the kind.
	Code Code
	// Message names the argument, its value and the rule that refused it.
	Message string

	retryable bool
}

// Error returns the message after "promwrite: ".
func (e *Error) Error() string { return "promwrite: " + e.Message }

// Retryable reports whether the same call can succeed later without a change by the caller.
func (e *Error) Retryable() bool { return e.retryable }

// Is reports whether target is an [*Error] of the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// invalid is an error in the form that the core gives its own: field, value, rule.
func invalid(field, value, rule string) error {
	if len(value) > 120 {
		value = value[:120]
	}
	return &Error{Code: CodeInvalid, Message: field + ": " + strconv.Quote(value) + " is refused: " + rule}
}

// LossError says that a flush, close or shutdown ended with items rejected or dropped.
type LossError struct {
	// Report tells what was lost and why.
	Report Report

	cause error
}

// Error counts what was lost, by reason, with the last failure of each sender.
func (e *LossError) Error() string {
	total := e.Report.Total()
	text := fmt.Sprintf("promwrite: %d rejected, %d dropped", total.Rejected, total.Dropped)
	for _, sender := range e.Report.Senders {
		if n := len(sender.Failures); n > 0 {
			text += "; " + sender.Failures[n-1]
		}
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap is the context's error where the context ended the wait, else nil.
func (e *LossError) Unwrap() error { return e.cause }

// outcome is the error of a wait that ended with report, and with the context's error where that ended it.
func outcome(report Report, cause error) error {
	if total := report.Total(); total.Rejected > 0 || total.Dropped > 0 {
		return &LossError{Report: report, cause: cause}
	}
	return cause
}
