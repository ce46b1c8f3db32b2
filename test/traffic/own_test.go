package traffic

import (
	"testing"
)

// The director itself as a client gets the same from each service, with each forward method,
// as any other client.
func TestTrafficOfTheDirector(t *testing.T) {
	for _, hook := range []string{"native", "tc"} {
		for _, two := range []bool{false, true} {
			networks := map[bool]string{false: "one network", true: "two networks"}[two]
			t.Run(hook+" "+networks, func(t *testing.T) {
				n := newNetwork(t, hook, two, wide)
				for _, k := range kinds {
					t.Run(k.method+" "+k.family+" "+k.proto, func(t *testing.T) { n.carryOwn(t, k) })
				}
			})
		}
	}
}

func (n *network) carryOwn(t *testing.T, k kind) {
	name, listen := k.server(n)
	carry := carryTCP
	if k.proto == "UDP" {
		carry = carryUDP
	}
	if err := carry(n.Node("director").Namespace(), n.Node(name).Namespace(), k.service(), listen); err != nil {
		t.Fatal(err)
	}
}
