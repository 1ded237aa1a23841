package openwire

import "github.com/godwitmq/godwit/broker"

// A broker.Ref holds all that the writer needs to answer, so that nothing has to be kept meanwhile: 4 bits of kind, 28 of
// index, 32 of number.
const (
	refNone          = iota // an answer is wanted by nobody
	refResponse             // number: the command's id
	refLogin                // the same; index 1 if the client is manageable
	refLoginSilently        // no Response is wanted
	refSubscribe            // index: the consumer's number
	refSubscribeSilently
	refWindow // index: the producer's number; number: bytes to give back to its window
)

const maxIndex = 1<<28 - 1

func makeRef(kind int, index uint64, number uint32) broker.Ref {
	return broker.Ref(uint64(kind)<<60 | (index&maxIndex)<<32 | uint64(number))
}

func splitRef(ref broker.Ref) (kind int, index uint64, number uint32) {
	return int(ref >> 60), uint64(ref>>32) & maxIndex, uint32(ref)
}
