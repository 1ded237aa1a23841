package stomp

// Error is a breach of the protocol by the peer. Its text is ActiveMQ's and may be sent to the client. All of them
// are fatal: where the next frame begins is no longer known.
type Error string

func (e Error) Error() string { return string(e) }

// The errors of a Reader.
const (
	ErrCommandLength    Error = "The maximum command length was exceeded"
	ErrHeaderLength     Error = "The maximum header length was exceeded"
	ErrHeaderCount      Error = "The maximum number of headers was exceeded"
	ErrFrameSize        Error = "The maximum frame size was exceeded"
	ErrNoTrailingNull   Error = "content-length bytes were read and there was no trailing null byte"
	ErrNegativeLength   Error = "Specified content-length may not be negative"
	ErrUnreadableLength Error = "Specified content-length is not a valid integer"
)
