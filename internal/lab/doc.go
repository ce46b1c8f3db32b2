// Package lab builds clusters in network namespaces on one machine: a switch,
// a client, directors and real servers, with real weir and web server
// processes in them. `weir lab` and the end-to-end tests use it alike.
//
// Everything a lab builds carries its id (the owner's pid and a counter), so
// that several labs live beside each other and that whatever a lab left
// behind can be found and removed later by anyone:
//
//	/run/weir-lab/<id>/            owner, children, and a directory per node
//	/run/netns/weirlab-<id>-<node> the namespaces
//	/sys/fs/bpf/weir-lab-<id>/     what the nodes' data planes pin
//
// In the owner's own network namespace a lab leaves nothing but namespace ids.
package lab
