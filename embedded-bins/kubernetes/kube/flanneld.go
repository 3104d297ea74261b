package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"github.com/flannel-io/flannel/pkg/version"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// How often the own Node is read until the controller manager has given it a pod subnet; this happens once per node.
	podCIDRPollInterval = 200 * time.Millisecond
	// A blackhole route that something removed comes back after at most this long.
	blackholeInterval = 5 * time.Second
	healthzStopGrace  = 3 * time.Second
)

// flannelOptions are flanneld's flags under flannel's own names. There are fewer of them: the subnets come from the
// Kubernetes API only, the back ends are vxlan and host-gw, and packet rules are written with nftables or not at all.
type flannelOptions struct {
	kubeconfig, netConfig, subnetFile string
	iface, canReach                   string
	public                            ipmatch.PublicIPOpts
	ipMasq, blackhole, markAvailable  bool
	healthzIP, healthzPort            string
	version                           bool
}

func parseFlannelFlags(args []string) (options flannelOptions) {
	flags := flag.NewFlagSet("flanneld", flag.ExitOnError)
	flags.StringVar(&options.kubeconfig, "kubeconfig-file", "", "kubeconfig of an identity that may read Nodes and patch their status")
	flags.StringVar(&options.netConfig, "net-config-path", "/etc/kube-flannel/net-conf.json", "network configuration: Network, Backend")
	flags.StringVar(&options.subnetFile, "subnet-file", "/run/flannel/subnet.env", "written with the node's subnet and the MTU once ready")
	flags.StringVar(&options.iface, "iface", "", "interface towards the other nodes, by name or address (default: that of the default route)")
	flags.StringVar(&options.canReach, "iface-can-reach", "", "choose the interface whose route leads to this address")
	flags.StringVar(&options.public.PublicIP, "public-ip", "", "IPv4 address that other nodes reach this one by")
	flags.StringVar(&options.public.PublicIPv6, "public-ipv6", "", "IPv6 address that other nodes reach this one by")
	flags.BoolVar(&options.ipMasq, "ip-masq", false, "masquerade, by nftables, what leaves the pod network")
	flags.BoolVar(&options.blackhole, "ip-blackhole-route", false, "keep a blackhole route for the node's own subnet, for pods that hang on host routes")
	flags.BoolVar(&options.markAvailable, "set-node-network-unavailable", true, "set the Node condition NetworkUnavailable to false once ready")
	flags.StringVar(&options.healthzIP, "healthz-ip", "127.0.0.1", "address that serves /healthz and /readyz")
	flags.StringVar(&options.healthzPort, "healthz-port", "0", "port that serves /healthz and /readyz (0: none)")
	flags.BoolVar(&options.version, "version", false, "print the version and exit")
	klog.InitFlags(flags)
	_ = flags.Parse(args) // exits on error
	return options
}

func runFlanneld() int {
	options := parseFlannelFlags(os.Args[1:])
	if options.version {
		fmt.Println(version.Version)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var group sync.WaitGroup
	err := serveFlannel(ctx, &group, options)
	interrupted := ctx.Err() != nil
	stop()
	group.Wait()
	if err != nil && !interrupted {
		klog.ErrorS(err, "flanneld failed")
		return 1
	}
	return 0
}

// serveFlannel runs until ctx ends. Whatever it starts in the background is in group and ends with ctx.
func serveFlannel(ctx context.Context, group *sync.WaitGroup, options flannelOptions) error {
	var ready atomic.Bool
	if options.healthzPort != "0" {
		if err := serveHealthz(ctx, group, net.JoinHostPort(options.healthzIP, options.healthzPort), &ready); err != nil {
			return err
		}
	}
	if err := waitForPodCIDR(ctx, options.kubeconfig); err != nil {
		return err
	}
	manager, err := kube.NewSubnetManager(ctx, "", options.kubeconfig, "flannel.alpha.coreos.com", options.netConfig, options.markAvailable)
	if err != nil {
		return fmt.Errorf("subnet manager: %w", err)
	}
	config, err := manager.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("network configuration %s: %w", options.netConfig, err)
	}
	network, err := registerNetwork(ctx, group, manager, config, options)
	if err != nil {
		return err
	}
	if options.ipMasq {
		if err := masquerade(ctx, config, network); err != nil {
			return err
		}
	}
	if options.blackhole {
		group.Go(func() { keepBlackholeRoutes(ctx, config, network) })
	}
	lease := network.Lease()
	if err := manager.HandleSubnetFile(options.subnetFile, config, options.ipMasq, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
		return fmt.Errorf("subnet file %s: %w", options.subnetFile, err)
	}
	group.Go(func() { network.Run(ctx) })
	if err := manager.CompleteLease(ctx, lease, group); err != nil {
		return fmt.Errorf("report the node's network as available: %w", err)
	}
	ready.Store(true)
	klog.InfoS("flanneld is ready", "subnet", lease.Subnet, "ipv6Subnet", lease.IPv6Subnet, "mtu", network.MTU())
	<-ctx.Done()
	return nil
}

// waitForPodCIDR returns once the own Node exists and has a subnet. flannel's subnet manager would fail at the first
// look and retry a missing Node every three seconds, and both are normal while a node joins.
func waitForPodCIDR(ctx context.Context, kubeconfig string) error {
	nodeName := os.Getenv("NODE_NAME")
	if nodeName == "" {
		return errors.New("the environment variable NODE_NAME must hold the name of this Node")
	}
	restConfig, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	lastReason := ""
	for {
		node, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		reason := missing(node, err)
		if reason == "" {
			return nil
		}
		if reason != lastReason {
			klog.InfoS("waiting for the own Node", "node", nodeName, "reason", reason)
			lastReason = reason
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(podCIDRPollInterval):
		}
	}
}

// missing says what the Node has not got yet that flannel's subnet manager needs.
func missing(node *corev1.Node, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case node.Spec.PodCIDR == "":
		return "no pod subnet assigned"
	case len(node.Annotations) == 0:
		// The kubelet registers it with some; the subnet manager writes into this map without looking whether there is one.
		return "no annotation yet"
	default:
		return ""
	}
}

func registerNetwork(ctx context.Context, group *sync.WaitGroup, manager subnet.Manager, config *subnet.Config, options flannelOptions) (backend.Network, error) {
	families, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, fmt.Errorf("network configuration %s: %w", options.netConfig, err)
	}
	// An administrator's annotation on the Node wins over the flag.
	public := options.public
	if stored, storedIPv6 := manager.GetStoredPublicIP(ctx); stored != "" || storedIPv6 != "" {
		public = ipmatch.PublicIPOpts{PublicIP: stored, PublicIPv6: storedIPv6}
	}
	external, err := ipmatch.LookupExtIface(options.iface, "", options.canReach, families, public)
	if err != nil {
		return nil, fmt.Errorf("interface towards the other nodes (--iface=%q --iface-can-reach=%q): %w", options.iface, options.canReach, err)
	}
	driver, err := backend.NewManager(ctx, manager, external).GetBackend(config.BackendType)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", config.BackendType, err)
	}
	network, err := driver.RegisterNetwork(ctx, group, config)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", config.BackendType, err)
	}
	return network, nil
}

func masquerade(ctx context.Context, config *subnet.Config, network backend.Network) error {
	rules := &nftables.NFTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	// The rules live in a table of flannel's own that is written anew as a whole, so the former subnets don't matter.
	err := rules.SetupAndEnsureMasqRules(ctx, config.Network, ip.IP4Net{}, ip.IP4Net{}, config.IPv6Network, ip.IP6Net{}, ip.IP6Net{}, network.Lease(), 0, false)
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// keepBlackholeRoutes stops packets to addresses of this node's subnet that no pod has: they would follow the default route.
func keepBlackholeRoutes(ctx context.Context, config *subnet.Config, network backend.Network) {
	ticker := time.NewTicker(blackholeInterval)
	defer ticker.Stop()
	for {
		lease := network.Lease()
		if config.EnableIPv4 {
			if err := ip.AddBlackholeV4Route(lease.Subnet.ToIPNet()); err != nil {
				klog.ErrorS(err, "cannot add the blackhole route", "subnet", lease.Subnet)
			}
		}
		if config.EnableIPv6 {
			if err := ip.AddBlackholeV6Route(lease.IPv6Subnet.ToIPNet()); err != nil {
				klog.ErrorS(err, "cannot add the blackhole route", "subnet", lease.IPv6Subnet)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// serveHealthz listens before it returns, so that a taken port is an error at start.
func serveHealthz(ctx context.Context, group *sync.WaitGroup, address string, ready *atomic.Bool) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("health port: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(response http.ResponseWriter, _ *http.Request) { fmt.Fprintln(response, "ok") })
	mux.HandleFunc("/readyz", func(response http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(response, "the network is not set up yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(response, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: healthzStopGrace}
	group.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.ErrorS(err, "health server ended")
		}
	})
	group.Go(func() {
		<-ctx.Done()
		graceful, cancel := context.WithTimeout(context.Background(), healthzStopGrace)
		defer cancel()
		_ = server.Shutdown(graceful)
	})
	return nil
}
