"""What Fast R-CNN is measured against: R-CNN (Girshick et al. 2014) and SPPnet (He et al. 2014)."""
