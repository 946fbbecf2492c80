"""What a request looks like as bytes: the only thing client, server and training share."""
