// Command radial-fakerouter plays a MikroTik router: RouterOS's API on a TCP port, and PPPoE subscribers who log in by RADIUS, send accounting and obey
// CoA and Disconnect. It is for trying Radial, and programs like it, without a router.
package main
