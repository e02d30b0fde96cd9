PEERS = ""
