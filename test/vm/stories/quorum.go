package main

const (
	three = "11=1 12=1 13=1"
	sorry = "sorry_server 10.0.0.9 80"
)

// quorums are stories of several servers.
var quorums = []story{
	{name: "quorum", short: true, words: "quorum 2", servers: three, steps: []step{{"+11 +12 +13", three}, {"-11", "12=1 13=1"}, {"-12", "13=1"}, {"+11", "11=1 13=1"}, {"-11 -13", ""}, {"+11 +12 +13", three}}},
	{name: "sorry server", short: true, words: sorry, servers: "11=1 12=1", steps: []step{{"+11 +12", "11=1 12=1"}, {"-11", "12=1"}, {"-12", "9=1"}, {"+12", "12=1"}, {"+11", "11=1 12=1"}}},
	{name: "hysteresis and sorry server", short: true, words: "quorum 3; hysteresis 1; " + sorry, servers: "11=1 12=1 13=1 14=1", steps: []step{
		{"+11 +12 +13 +14", "11=1 12=1 13=1 14=1"}, {"-11", "12=1 13=1 14=1"}, {"-12", "13=1 14=1"}, {"-13", "9=1"}, {"+13", "9=1"}, {"+12", "9=1"}, {"+11", "11=1 12=1 13=1 14=1"}}},
	{name: "inhibit", short: true, words: "quorum 2; omega", all: "inhibit_on_failure", servers: three, steps: []step{{"+11 +12 +13", three}, {"-11", "11=0 12=1 13=1"}, {"-12", "11=0 12=0 13=1"}, {"+11 +12", three}}},
	{name: "alpha and omega", short: true, words: "alpha; omega; " + sorry, servers: "11=1 12=1", steps: []step{{"", "9=1"}, {"+11", "11=1"}, {"+12", "11=1 12=1"}, {"-11", "12=1"}}},

	{name: "one server", servers: "11=1", steps: []step{{"+11", "11=1"}, {"-11", ""}, {"+11", "11=1"}}},
	{name: "weights make the quorum", words: "quorum 5; " + sorry, servers: "11=4 12=2 13=1", steps: []step{{"+11 +12 +13", "11=4 12=2 13=1"}, {"-13", "11=4 12=2"}, {"-12", "9=1"}, {"+13", "11=4 13=1"}, {"-11", "9=1"}, {"+11", "11=4 13=1"}, {"+12", "11=4 12=2 13=1"}}},
	{name: "hysteresis", words: "quorum 2; hysteresis 1", servers: three, steps: []step{{"+11 +12 +13", three}, {"-11", "12=1 13=1"}, {"-12", "13=1"}, {"-13", ""}, {"+11", "11=1"}, {"+12", "11=1 12=1"}, {"+13", three}}},
	{name: "sorry server inhibited", words: sorry + "; sorry_server_inhibit", servers: "11=1 12=1", steps: []step{{"+11 +12", "11=1 12=1 9=0"}, {"-11 -12", "9=1"}, {"+11", "11=1 9=0"}, {"+12", "11=1 12=1 9=0"}}},
	{name: "alpha", words: "alpha", servers: "11=1 12=1", steps: []step{{"", ""}, {"+11", "11=1"}, {"-11", ""}, {"+11 +12", "11=1 12=1"}}},
	{name: "alpha with a quorum", words: "alpha; quorum 2", servers: three, steps: []step{{"", ""}, {"+11", "11=1"}, {"+12", "11=1 12=1"}, {"+13", three}, {"-11 -12", "13=1"}}},
	{name: "omega", words: "omega", servers: three, steps: []step{{"+11 +12 +13", three}, {"-12", "11=1 13=1"}}},
	{name: "omega with all down", words: "omega", servers: "11=1 12=1", steps: []step{{"+11 +12", "11=1 12=1"}, {"-11 -12", ""}}},
	{name: "down from the start", servers: "11=1 12=1", steps: []step{{"+11", "11=1"}, {"+12", "11=1 12=1"}}},
	{name: "down from the start, with a sorry server", words: sorry, servers: "11=1", steps: []step{{"", "9=1"}, {"+11", "11=1"}, {"-11", "9=1"}}},
	{name: "inhibit for some weights", words: "quorum 3", all: "inhibit_on_failure", servers: "11=3 12=2", steps: []step{{"+11 +12", "11=3 12=2"}, {"-11", "11=0 12=2"}, {"+11", "11=3 12=2"}, {"-12", "11=3 12=0"}}},
	{name: "quorum of all", words: "quorum 3; " + sorry, servers: three, steps: []step{{"+11 +12 +13", three}, {"-13", "9=1"}, {"-12", "9=1"}, {"+12", "9=1"}, {"+13", three}}},
	{name: "inhibited under alpha", words: "alpha", all: "inhibit_on_failure", servers: "11=1 12=1", steps: []step{{"", "11=0 12=0"}, {"+11", "11=1 12=0"}, {"+12", "11=1 12=1"}, {"-11", "11=0 12=1"}}},
	{name: "quorum more than all", words: "quorum 9; " + sorry, servers: "11=1 12=2", steps: []step{{"+11 +12", "11=1 12=2"}, {"-11", "9=1"}, {"+11", "11=1 12=2"}}},
	{name: "flaps", words: "quorum 2; " + sorry, servers: "11=1 12=1", steps: []step{{"+11 +12", "11=1 12=1"}, {"-11", "9=1"}, {"+11", "11=1 12=1"}, {"-12", "9=1"}, {"+12", "11=1 12=1"}, {"-11 -12", "9=1"}, {"+11 +12", "11=1 12=1"}}},
}
