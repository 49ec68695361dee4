package fault

// This file holds the failures at a limit that several packages check.

// TooLarge refuses a volume. why has the sizes. The driver's gRPC client would answer a larger one with ResourceExhausted, a code that
// is not final.
func TooLarge(why string) *Error {
	return &Error{
		Kind: Content, What: "the volume is too large", Why: why,
		Hint: "mount fewer objects in one volume, or raise the driver's --max-call-recv-msg-size and the provider's --max-response-bytes together",
	}
}

// NoMemory is the end of a wait for memory, with err. what says what the memory was for.
func NoMemory(what string, err error) *Error {
	return &Error{
		Kind: Transient, What: what, Why: "the provider has no free memory, because other mounts on the node use it",
		Hint: "the kubelet retries automatically; if this lasts, raise the provider's memory limit", Cause: err,
	}
}
