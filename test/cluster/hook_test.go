package cluster

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

// The seed's cluster with the data plane at each hook: the same requests, the
// same split.
func TestHooks(t *testing.T) {
	for _, tt := range []struct {
		hook string
		// xdp says that the devices have to be prepared for XDP on veth.
		xdp bool
	}{
		{"tc", false},
		{"generic", true},
		{"native", true},
	} {
		t.Run(tt.hook, func(t *testing.T) {
			t.Parallel()
			c := start(t, func(o *lab.ClusterOptions) {
				for i := range o.Nodes {
					o.Nodes[i].Config += "\nweir {\n    device ens160 {\n        hook " + tt.hook + "\n    }\n}\n"
				}
				if tt.xdp {
					o.Prepare = func(c *lab.Cluster) error { return prepareXDP(t, c, "client", "node01", "node02") }
				}
			})
			for _, n := range c.Nodes() {
				v, err := n.View()
				c.must(err)
				if len(v.Devices) != 1 || v.Devices[0] != "ens160 "+tt.hook {
					t.Errorf("%s is attached to %q, want ens160 %s", n.Spec.Name, v.Devices, tt.hook)
				}
			}
			c.wantSplit(100, 200)
		})
	}
}

// prepareXDP prepares veth devices for XDP. It turns off checksum offload, since packets of a
// local sender with partial checksums, as hardware never delivers them, would be sent on as
// they are. And it attaches XDP programs to the peers, since a veth device drops a frame that
// XDP has sent to it unless it runs a program itself.
func prepareXDP(t *testing.T, c *lab.Cluster, nodes ...string) error {
	for _, node := range nodes {
		if err := c.SetOffload(node, "ens160", "tx", false); err != nil {
			return err
		}
		t.Logf("%s: tx checksum offload of ens160 is off", node)
	}
	return c.Switch().Do(func() error {
		for _, port := range nodes {
			nstest.PassXDP(t, port)
			t.Logf("switch: an XDP program that passes is on port %s", port)
		}
		return nil
	})
}

// Real TCP with Linux's default offloads on tc: 20 MB in each direction over one connection
// through the VIP arrive byte by byte.
func TestBulkWithDefaultOffloads(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	for _, n := range c.Nodes() {
		c.must(n.StopWeb(c.within(5 * time.Second)))
		c.echo(n)
	}
	for range 3 { // one cycle of the scheduler: both servers
		c.bulk()
	}
}

// echo replaces the web server by one that sends back everything that it gets.
func (c *cluster) echo(n *lab.Node) {
	c.t.Helper()
	var listener net.Listener
	c.must(n.Namespace().Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp4", "0.0.0.0:80")
		return err
	}))
	c.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
}

// hold opens a connection that stays until the test ends, and waits for the answer to one
// byte, so that the director, too, has seen it established.
func (c *cluster) hold() {
	c.t.Helper()
	conn := c.dial()
	c.t.Cleanup(func() { conn.Close() })
	_, err := conn.Write([]byte{1})
	c.must(err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	c.must(err)
}

func (c *cluster) dial() (conn net.Conn) {
	c.t.Helper()
	c.must(c.Client().Do(func() (err error) {
		conn, err = net.DialTimeout("tcp4", "192.168.25.100:80", 5*time.Second)
		return err
	}))
	c.must(conn.SetDeadline(time.Now().Add(60 * time.Second)))
	return conn
}

func lines(out []byte) int { return bytes.Count(out, []byte("\n")) }

func (c *cluster) bulk() {
	c.t.Helper()
	sent := make([]byte, 20<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 7)
	}
	conn := c.dial()
	defer conn.Close()
	var tasks errgroup.Group
	tasks.Go(func() error {
		_, err := conn.Write(sent)
		return err
	})
	got := make([]byte, len(sent))
	_, err := io.ReadFull(conn, got)
	c.must(err)
	c.must(tasks.Wait())
	if !bytes.Equal(sent, got) {
		c.t.Error("what came back differs from what was sent")
	}
}
