package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// Address is what a service listens on: all interfaces, one address or host
// name, or a network from which alone it may be reached.
type Address struct {
	Host    string       // empty: all interfaces
	Port    int          // 0: any free one
	Network netip.Prefix // valid: only peers from inside; Host is empty then
}

// String returns the address as a person writes it.
func (a Address) String() string {
	port := strconv.Itoa(a.Port)
	switch {
	case a.Network.IsValid() && a.Network.Addr().Is6():
		return "[" + a.Network.String() + "]:" + port
	case a.Network.IsValid():
		return a.Network.String() + ":" + port
	case a.Host == "":
		return "*:" + port
	case strings.Contains(a.Host, ":"):
		return "[" + a.Host + "]:" + port
	}
	return a.Host + ":" + port
}

// SameSocket reports whether what listens on a can serve b without being opened
// anew: nothing but the network from which it may be reached differs.
func (a Address) SameSocket(b Address) bool {
	if a.Port != b.Port || a.Host != b.Host {
		return false
	}
	switch {
	case a.Network.IsValid() && b.Network.IsValid():
		return a.Network.Addr().Is4() == b.Network.Addr().Is4()
	case a.Network.IsValid():
		return false // open for one family of addresses only
	}
	// All interfaces, and from now on for a network alone; or nothing differs.
	return true
}

// ParseAddress reads one of the forms
//
//   - *:8092   :8092      all interfaces
//     localhost      srv.example:7777    a host name
//     192.168.10.3   192.168.10.3:9062   an address
//     ::1            [::1]:36696         the same of IPv6
//     192.168.10.0   192.168.10.0:8270   a network: trailing zero octets are the mask
//     192.168.10.0/24:8270               a network outright; of IPv6: [fd00::/8]:8270
//
// Without a port it is defaultPort. What is none of these is an error; nothing
// is ever taken for «all interfaces» but the asterisk, a port alone, and 0.0.0.0 or
// ::.
func ParseAddress(text string, defaultPort int) (Address, error) {
	host, port, err := splitPort(text, defaultPort)
	if err != nil {
		return Address{}, err
	}
	a := Address{Port: port}
	switch {
	case host == "*", host == "" && strings.HasPrefix(text, ":"):
		return a, nil
	case strings.Contains(host, "/"):
		a.Network, err = parseNetwork(host)
		return a, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if mask := trailingZeroBits(addr); mask > 0 {
			a.Network = netip.PrefixFrom(addr, addr.BitLen()-mask)
			return a, nil
		}
		a.Host = addr.String()
		return a, nil
	}
	if !isHostName(host) {
		return Address{}, locale.NewText("config.bad_address", "value", text)
	}
	a.Host = strings.ToLower(host)
	return a, nil
}

// splitPort takes the port off. A colon in an IPv6 address that is not in
// brackets begins none.
func splitPort(text string, defaultPort int) (host string, port int, err error) {
	host = text
	portText, hasPort := "", false
	switch {
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", 0, locale.NewText("config.bad_address", "value", text)
		}
		host = text[1:end]
		if rest := text[end+1:]; rest != "" {
			if portText, hasPort = strings.CutPrefix(rest, ":"); !hasPort {
				return "", 0, locale.NewText("config.bad_address", "value", text)
			}
		}
		if !strings.Contains(host, ":") {
			return "", 0, locale.NewText("config.bad_address", "value", text)
		}
	case strings.Count(text, ":") == 1:
		host, portText, hasPort = strings.Cut(text, ":")
	default:
		if end := strings.LastIndexByte(text, ':'); end >= 0 && looksLikePort(text[:end], text[end+1:]) {
			return "", 0, locale.NewText("config.brackets_needed", "value", text, "host", text[:end], "port",
				text[end+1:])
		}
	}
	if host == "" && !hasPort {
		return "", 0, locale.NewText("config.bad_address", "value", text)
	}
	if !hasPort {
		return host, defaultPort, nil
	}
	n, convErr := strconv.ParseUint(portText, 10, 16)
	if convErr != nil || portText != strconv.FormatUint(n, 10) {
		return "", 0, locale.NewText("config.bad_port", "value", text)
	}
	return host, int(n), nil
}

// looksLikePort reports whether what follows the last colon of an IPv6 address without
// brackets may have been meant for a port: ::1:8092 is an address as well.
func looksLikePort(host, port string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil && port != "" && strings.Trim(port, "0123456789") == ""
}

// parseNetwork reads ADDRESS/BITS and refuses an address with bits beyond them,
// for it is not plain which network is meant.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	// An IPv4 peer is known by its IPv4 address: a mapped network holds none.
	if err != nil || network.Addr().Is4In6() {
		return netip.Prefix{}, locale.NewText("config.bad_network", "value", text)
	}
	if network != network.Masked() {
		return netip.Prefix{}, locale.NewText("config.network_host_bits", "value", text, "network",
			network.Masked().String())
	}
	return network, nil
}

// trailingZeroBits is the width of the trailing zero octets of an IPv4 address,
// the old product's way to write a network. 0.0.0.0 and :: are networks too:
// those of all IPv4 and all IPv6 peers. Other IPv6 addresses are never.
func trailingZeroBits(addr netip.Addr) int {
	if addr.Is6() {
		if addr == netip.IPv6Unspecified() {
			return addr.BitLen()
		}
		return 0
	}
	octets := addr.As4()
	zero := 0
	for i := len(octets) - 1; i >= 0 && octets[i] == 0; i-- {
		zero += 8
	}
	return zero
}

// isHostName reports whether it can be the name of a host. Digits and dots alone cannot:
// that is a mistyped address.
func isHostName(host string) bool {
	if len(host) > 253 || strings.Trim(host, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return false
			}
		}
	}
	return true
}

// parseNetworks reads a list of addresses and networks, separated by commas or
// blanks. An address that ends in a zero octet is refused: elsewhere it means a
// network, and whom to believe is no matter for guesses.
func parseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if addr, err := netip.ParseAddr(item); err == nil {
			if mask := trailingZeroBits(addr); mask > 0 {
				return nil, locale.NewText("config.network_or_address", "value", item,
					"network", netip.PrefixFrom(addr, addr.BitLen()-mask).String(), "address",
					netip.PrefixFrom(addr, addr.BitLen()).String())
			}
			networks = append(networks, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		network, err := parseNetwork(item)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}
