package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// forward accepts connections on the listening socket that it inherits as the
// given file descriptor and joins each with one to the target address.
//
// The socket is opened on the machine's loopback, this process runs inside the
// lab's network namespace: so the API server is reachable from the machine
// without any route, bridge or address that connects the two.
func forward(descriptor, target string) error {
	number, err := strconv.ParseUint(descriptor, 10, 31)
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(uintptr(number), "listener"))
	if err != nil {
		return fmt.Errorf("file descriptor %s is not a listening socket: %w", descriptor, err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go join(client.(*net.TCPConn), target)
	}
}

func join(client *net.TCPConn, target string) {
	defer client.Close()
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return // the client sees its connection closed, as with a server that is down
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{}, 2)
	copyHalf := func(to, from *net.TCPConn) {
		io.Copy(to, from)
		to.CloseWrite()
		done <- struct{}{}
	}
	go copyHalf(server, client)
	go copyHalf(client, server)
	<-done
	<-done
}
