// Package mqapi is the wire layer of Amazon MQ's control API: requests signed by AWS's clients come in over HTTP, are verified, read,
// checked and handed to a Service as Go values, and its answers and errors go back in the form that those clients expect. What brokers
// are, and what a change does to them, is the Service's business; so is all that needs state: uniqueness, quotas, conflicts.
//
//	handler, err := mqapi.New(mqapi.Options{Service: plane, Keys: keys, PageKey: secret})
//	http.Handle("/v1/", handler)
//
// # Source
//
// types_gen.go comes from schema/amazon-mq-api.json, which are the facts of Amazon's API (all operations and structures), and
// schema/extras.json, which are Godwit's additions and the operations that it refuses. docs/amazon-mq.md, written by a test from the
// same tables, says what is there and what is refused.
//
// # Absent and empty
//
// An optional member is a pointer, a list or a map, and nil if it was not given: an update leaves such a thing as it is. A list that was
// given empty is empty and not nil. JSON's null counts as not given.
//
// # Limits
//
// Bodies, nesting and every list are bounded before memory is taken for them. No input makes the handler answer 500: that is for errors of the
// Service and for our own mistakes, which are logged with the request's id.
package mqapi

//go:generate go run ./gen
