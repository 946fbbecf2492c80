"""What tests share: fakes, drawn catalogues, servers in processes of their own."""
