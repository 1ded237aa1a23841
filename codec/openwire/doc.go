// Package openwire turns bytes into OpenWire frames and back: versions 1 to 12, loose encoding, without the marshal cache. It knows
// the protocol's data structures and nothing of a broker; sessions give them meaning.
//
// A broker that uses it must answer TightEncodingEnabled=false, CacheEnabled=false and SizePrefixDisabled=false in its WireFormatInfo
// (WireFormat does so by its zero value); the first frame of both sides is loose and uncached in any case.
//
//	frames := openwire.NewFramer(conn, 0)
//	frame, err := frames.Next()          // bytes of one frame, valid until the next Next
//	command, err := decoder.Decode(frame) // *openwire.ConnectionInfo, *openwire.Message, ...
//	out, err = encoder.Append(out, &openwire.Response{CorrelationID: command.ID()})
//
// # Null and empty
//
// OpenWire tells null from empty; Go's strings do not. In these structs a string "" and an id that equals its zero value mean null,
// which is what nearly every peer sends. A decoded struct remembers (unexported, in blank) which of such fields were on the wire though empty, so
// that encoding it again gives the same bytes; a struct made by hand sends null for "". Two cases are not told apart, because
// nobody sends them and the values are map keys: a null and an empty string inside an id or a destination name, and a null and a zero
// element of an array of ids. Byte slices and arrays are null if nil.
//
// # Limits
//
// Every length is checked against what is left of the frame before memory is taken, nesting is limited to MaxDepth, and nested
// objects must be of the type that the field declares. Class names of throwables are text and nothing else. The framer never
// allocates by an announced size alone.
//
// # Source
//
// Layouts come from schema/commands.json, the fields of every data structure by version, which package gen turns into types_gen.go and
// marshal_gen.go. Encoding rules, negotiation and modified UTF-8 follow the OpenWire protocol of ActiveMQ Classic 6.3; testdata holds
// frames marshalled by its client library for each version, and recorded sessions.
package openwire

//go:generate go run ./gen
