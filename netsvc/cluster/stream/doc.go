// Package stream carries bytes both ways between two nodes, as a TCP connection does: in
// order, whole, and not faster than they are read. A [Conn] is a net.Conn, so that what is
// said through it can be HTTP.
//
// What the frames of a stream travel in is not known here. It has to be told who sent one,
// to deliver none twice and none out of order; it may lose them. A stream of which
// something is lost fails on both sides, and what was asked through it has to be asked
// again: nothing is repeated here.
//
// Each side says how far the other may write, window bytes at most beyond what was read. The
// side that opened a stream says every 5 s that it is still there; a side that hears nothing
// for 15 s gives the stream up. So nothing is kept for long for a node that was killed.
//
// A frame is a kind, who opened the stream, the stream's number 8, and, numbers being
// big-endian:
//
//	open    who asks, opaque here; only the side that opens sends it, first
//	data    from which byte 8, bytes
//	state   bytes sent 8, up to which byte the other may write 8
//	renew   as state; the other answers with its state
//	end     bytes sent 8, why; without a reason it is over in order
package stream
